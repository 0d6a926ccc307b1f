/* SPDX-License-Identifier: MIT */
/* A recording sample by sample, as text or as one JSON object a line. */
#ifndef RETOUR_EXPORT_SCRIPT_H
#define RETOUR_EXPORT_SCRIPT_H

#include "base/error.h"
#include "profile/samples.h"

#include <stdio.h>

ERROR_CHECK struct error *export_script(struct samples *samples, FILE *out);
ERROR_CHECK struct error *export_script_json(struct samples *samples, FILE *out);

#endif

/* SPDX-License-Identifier: MIT */
/* What changed between two profiles, as text or JSON. */
#ifndef RETOUR_EXPORT_DIFF_H
#define RETOUR_EXPORT_DIFF_H

#include "export/export.h"
#include "profile/diff.h"

ERROR_CHECK struct error *export_diff_table(const struct diff *diff, const struct export_options *options, FILE *out);
ERROR_CHECK struct error *export_diff_json(const struct diff *diff, const struct export_options *options, FILE *out);

#endif

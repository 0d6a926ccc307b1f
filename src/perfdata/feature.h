/* SPDX-License-Identifier: MIT */
/* The feature sections of a recording: what is known of the machine and the session. */
#ifndef RETOUR_PERFDATA_FEATURE_H
#define RETOUR_PERFDATA_FEATURE_H

#include "perfdata/bytes.h"
#include "perfdata/format.h"
#include "perfdata/session.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends the section to out; false if there is nothing to say. */
bool feature_build(enum format_feature feature, const struct session *session, struct bytes *out);

#endif

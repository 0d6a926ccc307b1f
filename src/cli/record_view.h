/* SPDX-License-Identifier: MIT */
/* What record says on stderr: a live line while it records, the quality line at the end. */
#ifndef RETOUR_CLI_RECORD_VIEW_H
#define RETOUR_CLI_RECORD_VIEW_H

struct session_stats;

/* Rewrites the live line. */
void record_view_live(const struct session_stats *stats);
void record_view_clear_live(void);
/* The quality line, and the most frequent reasons if chains are missing or truncated. */
void record_view_quality(const struct session_stats *stats);

#endif

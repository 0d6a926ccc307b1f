/* SPDX-License-Identifier: MIT */
/* The flame graph page of viewer/, embedded: the profile goes between the two parts. */
#ifndef RETOUR_EXPORT_PAGE_H
#define RETOUR_EXPORT_PAGE_H

#include <stddef.h>

extern const unsigned char page_before_data[], page_after_data[];
extern const size_t page_before_data_size, page_after_data_size;

#endif

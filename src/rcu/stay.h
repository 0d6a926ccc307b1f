/* SPDX-License-Identifier: MIT */
/* Keeps the library's code where it is. */
#ifndef RETOUR_RCU_STAY_H
#define RETOUR_RCU_STAY_H

/* The object that the library is part of will not be unloaded.  For constructors. */
void stay_loaded(void);

#endif

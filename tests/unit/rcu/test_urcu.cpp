/* SPDX-License-Identifier: MIT */
/* The program for liburcu, as C++. */
#include "test_urcu.c"

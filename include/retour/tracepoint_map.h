/* SPDX-License-Identifier: MIT */
/*
 * What the preprocessor lacks: a macro applied to each element of a list.
 *
 * RETOUR_MAP_n(m, sep, a, b, ...) is m a sep m b ..., for n elements that are
 * lists in parentheses; sep is a macro without arguments.
 */
#ifndef RETOUR_TRACEPOINT_MAP_H
#define RETOUR_TRACEPOINT_MAP_H

#define RETOUR_COMMA_() ,
#define RETOUR_SPACE_() " "
#define RETOUR_STRIP_(...) __VA_ARGS__

#define RETOUR_MAP_1(m, sep, a) m a
#define RETOUR_MAP_2(m, sep, a, ...) m a sep() RETOUR_MAP_1(m, sep, __VA_ARGS__)
#define RETOUR_MAP_3(m, sep, a, ...) m a sep() RETOUR_MAP_2(m, sep, __VA_ARGS__)
#define RETOUR_MAP_4(m, sep, a, ...) m a sep() RETOUR_MAP_3(m, sep, __VA_ARGS__)
#define RETOUR_MAP_5(m, sep, a, ...) m a sep() RETOUR_MAP_4(m, sep, __VA_ARGS__)
#define RETOUR_MAP_6(m, sep, a, ...) m a sep() RETOUR_MAP_5(m, sep, __VA_ARGS__)
#define RETOUR_MAP_7(m, sep, a, ...) m a sep() RETOUR_MAP_6(m, sep, __VA_ARGS__)
#define RETOUR_MAP_8(m, sep, a, ...) m a sep() RETOUR_MAP_7(m, sep, __VA_ARGS__)
#define RETOUR_MAP_9(m, sep, a, ...) m a sep() RETOUR_MAP_8(m, sep, __VA_ARGS__)
#define RETOUR_MAP_10(m, sep, a, ...) m a sep() RETOUR_MAP_9(m, sep, __VA_ARGS__)
#define RETOUR_MAP_11(m, sep, a, ...) m a sep() RETOUR_MAP_10(m, sep, __VA_ARGS__)
#define RETOUR_MAP_12(m, sep, a, ...) m a sep() RETOUR_MAP_11(m, sep, __VA_ARGS__)

/* The number of arguments, 1 to 14. */
#define RETOUR_COUNT_(...) RETOUR_COUNT__(__VA_ARGS__, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define RETOUR_COUNT__(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, n, ...) n

#define RETOUR_PASTE__(a, b) a##b
#define RETOUR_PASTE_(a, b) RETOUR_PASTE__(a, b)

#endif

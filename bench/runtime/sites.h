/* SPDX-License-Identifier: MIT */
/* X(digit, digit, digit) for each of the 512 or 1,000 numbers of three digits. */
#ifndef BENCH_RUNTIME_SITES_H
#define BENCH_RUNTIME_SITES_H

#define OCTAL_1_(x, i, j) x(i, j, 0) x(i, j, 1) x(i, j, 2) x(i, j, 3) x(i, j, 4) x(i, j, 5) x(i, j, 6) x(i, j, 7)
#define OCTAL_2_(x, i) OCTAL_1_(x, i, 0) OCTAL_1_(x, i, 1) OCTAL_1_(x, i, 2) OCTAL_1_(x, i, 3) \
	OCTAL_1_(x, i, 4) OCTAL_1_(x, i, 5) OCTAL_1_(x, i, 6) OCTAL_1_(x, i, 7)
#define OCTAL_SITES(x) OCTAL_2_(x, 0) OCTAL_2_(x, 1) OCTAL_2_(x, 2) OCTAL_2_(x, 3) \
	OCTAL_2_(x, 4) OCTAL_2_(x, 5) OCTAL_2_(x, 6) OCTAL_2_(x, 7)

#define DECIMAL_1_(x, i, j) OCTAL_1_(x, i, j) x(i, j, 8) x(i, j, 9)
#define DECIMAL_2_(x, i) DECIMAL_1_(x, i, 0) DECIMAL_1_(x, i, 1) DECIMAL_1_(x, i, 2) DECIMAL_1_(x, i, 3) \
	DECIMAL_1_(x, i, 4) DECIMAL_1_(x, i, 5) DECIMAL_1_(x, i, 6) DECIMAL_1_(x, i, 7) \
	DECIMAL_1_(x, i, 8) DECIMAL_1_(x, i, 9)
#define DECIMAL_SITES(x) DECIMAL_2_(x, 0) DECIMAL_2_(x, 1) DECIMAL_2_(x, 2) DECIMAL_2_(x, 3) DECIMAL_2_(x, 4) \
	DECIMAL_2_(x, 5) DECIMAL_2_(x, 6) DECIMAL_2_(x, 7) DECIMAL_2_(x, 8) DECIMAL_2_(x, 9)

#endif

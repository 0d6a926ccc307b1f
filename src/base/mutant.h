/* SPDX-License-Identifier: MIT */
/*
 * Deliberate bugs, to show that the tests find them.  A folder lists its own in
 * an enum; a test build defines RETOUR_MUTANT to one of the names.  Everywhere
 * else mutant(x) is a constant false, and the compiler removes what hangs on it.
 */
#ifndef RETOUR_BASE_MUTANT_H
#define RETOUR_BASE_MUTANT_H

#ifndef RETOUR_MUTANT
#define RETOUR_MUTANT none
#endif
#define MUTANT_JOIN_(a, b) a##b
#define MUTANT_JOIN(a, b) MUTANT_JOIN_(a, b)
#define mutant(name) (MUTANT_JOIN(MUTANT_, RETOUR_MUTANT) == MUTANT_##name)

#endif

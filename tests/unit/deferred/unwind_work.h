/* SPDX-License-Identifier: MIT */
/* Code of many shapes to be interrupted at any instruction. */
#ifndef UNWIND_WORK_H
#define UNWIND_WORK_H

#ifdef __cplusplus
extern "C" {
#endif

/* Sorts, prints, recurses, throws: some microseconds. */
void work(unsigned int round);
/* Throws an exception through frames with clean-ups and catches it. */
void work_throw(unsigned int round);

extern volatile unsigned long work_sink;

#ifdef __cplusplus
}
#endif
#endif

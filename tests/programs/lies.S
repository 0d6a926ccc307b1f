/* SPDX-License-Identifier: MIT */
/*
 * Functions whose unwind information is missing or a lie.  Each calls its
 * argument with a frame of 24 bytes.
 */
	.text

	.macro	trampoline name, cfi:vararg
	.globl	\name
	.type	\name, @function
\name:
	.cfi_startproc
	\cfi
	sub	$24, %rsp
	movq	$0, 8(%rsp)
	call	*%rdi
	add	$24, %rsp
	ret
	.cfi_endproc
	.size	\name, . - \name
	.endm

/* The CFA is below the frame. */
	trampoline lie_backwards, .cfi_def_cfa rsp, -64
/* The CFA stays where it is: the frame would be its own caller for ever. */
	trampoline lie_still, .cfi_def_cfa rsp, 0
/* The CFA is far outside the stack. */
	trampoline lie_far, .cfi_def_cfa rsp, 0x40000000
/* The return address is the zero at 8(%rsp). */
	trampoline lie_zero, .cfi_def_cfa rsp, 16
/* The CFA is an expression that jumps back to itself: DW_OP_skip -3. */
	trampoline lie_loop, .cfi_escape 0x0f, 0x03, 0x2f, 0xfd, 0xff
/* The CFA is an expression that pops an empty stack: DW_OP_plus. */
	trampoline lie_underflow, .cfi_escape 0x0f, 0x01, 0x22
/* The CFA is right, but rbp, which the caller needs, is said to be lost: DW_CFA_undefined. */
	trampoline lie_lost, .cfi_escape 0x0e, 0x20, 0x07, 0x06

/* No unwind information at all, and no frame pointer either. */
	.globl	without_cfi
	.type	without_cfi, @function
without_cfi:
	push	%rbp
	mov	$1, %ebp
	sub	$16, %rsp
	call	*%rdi
	add	$16, %rsp
	pop	%rbp
	ret
	.size	without_cfi, . - without_cfi

	.section .note.GNU-stack, "", @progbits

/* SPDX-License-Identifier: MIT */
/*
 * An ELF file as both the unwinder and the symboliser need it: identity,
 * load segments, sections by name.  Over libelf; every offset and size in the
 * file is hostile and is checked here once.
 *
 * Positions in a file's code are file offsets (a mapping gives pc - start +
 * pgoff); ELF's own tables use virtual addresses; the load segments translate.
 */
#ifndef RETOUR_ELF_FILE_H
#define RETOUR_ELF_FILE_H

#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_segment {
	uint64_t vaddr, offset, size;	/* size: bytes that the file backs */
	bool executable;
};

struct elf_section {
	const unsigned char *data;	/* owned by the file object; decompressed if need be */
	size_t size;
	uint64_t vaddr;			/* 0 for a section that is not loaded */
};

struct elf_file;

/*
 * Opens the ELF file behind fd (consumed, also on failure).  name is used in
 * error sentences only.  Fails for anything but a 64-bit little-endian
 * executable, shared object or relocated vdso of this architecture: EINVAL.
 */
ERROR_CHECK struct error *elf_file_open_fd(int fd, const char *name, struct elf_file **ret);
ERROR_CHECK struct error *elf_file_open(const char *path, struct elf_file **ret);
/* From memory, which is copied: the vdso, a .gnu_debugdata image. */
ERROR_CHECK struct error *elf_file_open_memory(const void *image, size_t size, const char *name,
					       struct elf_file **ret);
void elf_file_close(struct elf_file *file);
DEFINE_CLEANUP(elf_file_close, struct elf_file *);

const char *elf_file_name(const struct elf_file *file);
uint16_t elf_file_type(const struct elf_file *file);		/* ET_EXEC, ET_DYN */
uint64_t elf_file_entry(const struct elf_file *file);		/* virtual address */
/* Length in bytes (0 if there is none), at most 20. */
size_t elf_file_build_id(const struct elf_file *file, unsigned char id[static 20]);

/* The PT_LOAD segments in file order; *n of them. */
const struct elf_segment *elf_file_segments(const struct elf_file *file, size_t *n);
/* False where no load segment covers the address. */
bool elf_file_to_offset(const struct elf_file *file, uint64_t vaddr, uint64_t *ret);
bool elf_file_to_vaddr(const struct elf_file *file, uint64_t offset, uint64_t *ret);

/* False if there is no such section, it is SHT_NOBITS, or it lies outside the file. */
bool elf_file_section(struct elf_file *file, const char *name, struct elf_section *ret);
/* Where a section lies in the file, without reading it; false as above. */
bool elf_file_section_range(struct elf_file *file, const char *name, uint64_t *offset, uint64_t *size);
/* The address of a section; false if there is none of that name. */
bool elf_file_section_vaddr(struct elf_file *file, const char *name, uint64_t *ret);
/* Bytes of the file into buf, which nobody else keeps; false if not all can be read. */
bool elf_file_read(const struct elf_file *file, uint64_t offset, void *buf, size_t size);
/* The range [*vaddr, +*size) of a program header type, e.g. PT_GNU_EH_FRAME; false if absent. */
bool elf_file_phdr(const struct elf_file *file, uint32_t type, uint64_t *vaddr, uint64_t *size);
/* Bytes at a virtual address, for files without section headers; NULL if not all backed. */
const unsigned char *elf_file_at(struct elf_file *file, uint64_t vaddr, size_t size);

/* The libelf handle, for gelf_getsym() and libdw; owned by the file object. */
struct Elf;
struct Elf *elf_file_handle(struct elf_file *file);

#endif

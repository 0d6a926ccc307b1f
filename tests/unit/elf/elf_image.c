/* SPDX-License-Identifier: MIT */
/* Laying out the made-up ELF files. */
#include "elf_image.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_PHDRS 2

static void reserve(struct image *image, size_t size)
{
	while (image->cap < size) {
		size_t cap = image->cap ? image->cap * 2 : 0x20000;
		unsigned char *data = realloc(image->data, cap);

		if (!data)
			abort();
		memset(data + image->cap, 0, cap - image->cap);
		image->data = data;
		image->cap = cap;
	}
	if (image->size < size)
		image->size = size;
}

void image_init(struct image *image)
{
	memset(image, 0, sizeof(*image));
	image->entry = IMAGE_TEXT;
	reserve(image, IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE);
}

uint64_t image_next_vaddr(const struct image *image)
{
	return IMAGE_BASE + ((image->size + 15) & ~(size_t)15);
}

size_t image_add(struct image *image, const char *name, uint64_t flags, const void *data, size_t size)
{
	struct image_section *s = &image->section[image->n_sections++];
	size_t offset = image_next_vaddr(image) - IMAGE_BASE;

	reserve(image, offset + size);
	memcpy(image->data + offset, data, size);
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->offset = offset;
	s->size = size;
	s->type = SHT_PROGBITS;
	s->flags = flags;
	return offset;
}

static void add_names(struct image *image, uint32_t *names)
{
	char strings[IMAGE_SECTIONS_MAX * 24 + 32] = "";
	size_t len = 1;

	for (size_t i = 0; i < image->n_sections; i++) {
		names[i] = (uint32_t)len;
		len += (size_t)sprintf(strings + len, "%s", image->section[i].name) + 1;
	}
	names[image->n_sections] = (uint32_t)len;
	len += (size_t)sprintf(strings + len, ".shstrtab") + 1;
	image_add(image, ".shstrtab", 0, strings, len);
	image->section[image->n_sections - 1].type = SHT_STRTAB;
}

static void write_sections(struct image *image, size_t offset, const uint32_t *names)
{
	for (size_t i = 0; i < image->n_sections; i++) {
		const struct image_section *s = &image->section[i];
		Elf64_Shdr sh = {
			.sh_name = names[i], .sh_type = s->type, .sh_flags = s->flags,
			.sh_addr = s->flags & SHF_ALLOC ? IMAGE_BASE + s->offset : 0,
			.sh_offset = s->offset, .sh_size = s->size, .sh_addralign = 1,
		};

		memcpy(image->data + offset + (i + 1) * sizeof(sh), &sh, sizeof(sh));
	}
}

void image_finish(struct image *image)
{
	uint32_t names[IMAGE_SECTIONS_MAX + 1];
	size_t sections;

	add_names(image, names);
	sections = (image->size + 15) & ~(size_t)15;
	reserve(image, sections + (image->n_sections + 1) * sizeof(Elf64_Shdr));
	write_sections(image, sections, names);

	Elf64_Ehdr eh = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_entry = image->entry, .e_phoff = sizeof(eh), .e_shoff = sections, .e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = N_PHDRS, .e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = (Elf64_Half)(image->n_sections + 1), .e_shstrndx = (Elf64_Half)image->n_sections,
	};
	Elf64_Phdr ph[N_PHDRS] = {
		{ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = IMAGE_TEXT_OFFSET,
		  .p_vaddr = IMAGE_TEXT, .p_filesz = IMAGE_TEXT_SIZE, .p_memsz = IMAGE_TEXT_SIZE },
		{ .p_type = PT_LOAD, .p_flags = PF_R, .p_offset = IMAGE_DATA - IMAGE_BASE, .p_vaddr = IMAGE_DATA,
		  .p_filesz = sections - (IMAGE_DATA - IMAGE_BASE),
		  .p_memsz = sections - (IMAGE_DATA - IMAGE_BASE) },
	};

	memcpy(image->data, &eh, sizeof(eh));
	memcpy(image->data + sizeof(eh), ph, sizeof(ph));
}

struct elf_file *image_open(struct image *image)
{
	struct elf_file *file = NULL;
	struct error *err;

	image_finish(image);
	err = elf_file_open_memory(image->data, image->size, "image", &file);
	if (err) {
		printf("# %s\n", err->text);
		abort();
	}
	return file;
}

void image_free(struct image *image)
{
	free(image->data);
	image->data = NULL;
}

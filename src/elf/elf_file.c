/* SPDX-License-Identifier: MIT */
/*
 * ELF files over libelf, read with pread and never mapped: a file that is
 * truncated under us gives a failed read, not SIGBUS.
 *
 * libelf checks that headers and section data lie inside the file; sizes are
 * bounded here before it is asked to allocate or inflate anything.
 */
#include "elf/elf_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <string.h>
#include <sys/stat.h>

#define SECTION_MAX (512u << 20)	/* bytes of one section, inflated */
#define NOTES_MAX (1u << 20)
#define SEGMENTS_MAX 4096u

struct elf_file {
	char *name;
	int fd;				/* -1 for an image in memory */
	char *image;
	Elf *elf;
	uint64_t file_size;
	GElf_Ehdr ehdr;
	struct elf_segment *segments;
	size_t n_segments;
};

static struct error *not_elf(const struct elf_file *file, const char *why)
{
	return error_new(EINVAL, "%s: %s", file->name, why);
}

static struct error *check_header(struct elf_file *file)
{
	const GElf_Ehdr *h = &file->ehdr;

	if (elf_kind(file->elf) != ELF_K_ELF || !gelf_getehdr(file->elf, &file->ehdr))
		return not_elf(file, "not an ELF file");
	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB)
		return not_elf(file, "not a 64-bit little-endian ELF file");
	if (h->e_machine != EM_X86_64)
		return not_elf(file, "an ELF file of another architecture");
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return not_elf(file, "neither an executable nor a shared object");
	return NULL;
}

static struct error *load_segments(struct elf_file *file)
{
	GElf_Phdr ph;
	size_t n;

	if (elf_getphdrnum(file->elf, &n) || n > SEGMENTS_MAX)
		return not_elf(file, "corrupt program headers");
	file->segments = calloc(n ? n : 1, sizeof(*file->segments));
	if (!file->segments)
		return error_nomem();

	for (size_t i = 0; i < n; i++) {
		struct elf_segment *s = &file->segments[file->n_segments];

		if (!gelf_getphdr(file->elf, (int)i, &ph))
			return not_elf(file, "corrupt program headers");
		if (ph.p_type != PT_LOAD || ph.p_offset >= file->file_size)
			continue;
		s->vaddr = ph.p_vaddr;
		s->offset = ph.p_offset;
		s->size = ph.p_filesz;
		if (s->size > file->file_size - s->offset)
			s->size = file->file_size - s->offset;
		if (s->size > UINT64_MAX - s->vaddr)
			s->size = UINT64_MAX - s->vaddr;
		s->executable = ph.p_flags & PF_X;
		if (s->size)
			file->n_segments++;
	}
	return NULL;
}

/* Takes over file, whose elf member may be NULL, and everything in it. */
static struct error *finish_open(struct elf_file *file, struct elf_file **ret)
{
	_cleanup_(elf_file_closep) struct elf_file *owned = file;
	struct error *err;

	if (!file->elf)
		return not_elf(file, elf_errmsg(-1));
	err = check_header(file);
	if (!err)
		err = load_segments(file);
	if (err)
		return err;
	*ret = steal_ptr(owned);
	return NULL;
}

static struct elf_file *new_file(const char *name)
{
	struct elf_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->fd = -1;
	file->name = strdup(name);
	if (!file->name) {
		free(file);
		return NULL;
	}
	elf_version(EV_CURRENT);
	return file;
}

struct error *elf_file_open_fd(int fd, const char *name, struct elf_file **ret)
{
	_cleanup_close_ int owned = fd;
	struct elf_file *file;
	struct stat st;

	if (fstat(fd, &st))
		return error_errno(errno, "%s", name);
	if (!S_ISREG(st.st_mode))
		return error_new(EINVAL, "%s: not a regular file", name);
	file = new_file(name);
	if (!file)
		return error_nomem();

	file->fd = steal_fd(&owned);
	file->file_size = (uint64_t)st.st_size;
	file->elf = elf_begin(file->fd, ELF_C_READ, NULL);
	return finish_open(file, ret);
}

struct error *elf_file_open(const char *path, struct elf_file **ret)
{
	/* O_NONBLOCK: a path that became a FIFO must not block the open. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return error_errno(errno, "%s", path);
	return elf_file_open_fd(fd, path, ret);
}

struct error *elf_file_open_memory(const void *image, size_t size, const char *name,
				   struct elf_file **ret)
{
	struct elf_file *file = new_file(name);

	if (!file)
		return error_nomem();
	file->image = malloc(size ? size : 1);
	if (!file->image) {
		elf_file_close(file);
		return error_nomem();
	}
	memcpy(file->image, image, size);
	file->file_size = size;
	file->elf = elf_memory(file->image, size);
	return finish_open(file, ret);
}

void elf_file_close(struct elf_file *file)
{
	if (!file)
		return;
	elf_end(file->elf);
	if (file->fd >= 0)
		close(file->fd);
	free(file->segments);
	free(file->image);
	free(file->name);
	free(file);
}

const char *elf_file_name(const struct elf_file *file)
{
	return file->name;
}

uint16_t elf_file_type(const struct elf_file *file)
{
	return file->ehdr.e_type;
}

uint64_t elf_file_entry(const struct elf_file *file)
{
	return file->ehdr.e_entry;
}

struct Elf *elf_file_handle(struct elf_file *file)
{
	return file->elf;
}

const struct elf_segment *elf_file_segments(const struct elf_file *file, size_t *n)
{
	*n = file->n_segments;
	return file->segments;
}

bool elf_file_to_offset(const struct elf_file *file, uint64_t vaddr, uint64_t *ret)
{
	for (size_t i = 0; i < file->n_segments; i++) {
		const struct elf_segment *s = &file->segments[i];

		if (vaddr >= s->vaddr && vaddr - s->vaddr < s->size) {
			*ret = s->offset + (vaddr - s->vaddr);
			return true;
		}
	}
	return false;
}

bool elf_file_to_vaddr(const struct elf_file *file, uint64_t offset, uint64_t *ret)
{
	for (size_t i = 0; i < file->n_segments; i++) {
		const struct elf_segment *s = &file->segments[i];

		if (offset >= s->offset && offset - s->offset < s->size) {
			*ret = s->vaddr + (offset - s->offset);
			return true;
		}
	}
	return false;
}

static Elf_Scn *find_section(struct elf_file *file, const char *name, GElf_Shdr *shdr)
{
	Elf_Scn *scn = NULL;
	size_t strings;

	if (elf_getshdrstrndx(file->elf, &strings))
		return NULL;
	while ((scn = elf_nextscn(file->elf, scn))) {
		const char *s = gelf_getshdr(scn, shdr) ? elf_strptr(file->elf, strings, shdr->sh_name)
							: NULL;
		if (s && !strcmp(s, name))
			return scn;
	}
	return NULL;
}

/* SHF_COMPRESSED, once: after elf_compress() the flag is gone. */
static bool inflate_section(Elf_Scn *scn, const GElf_Shdr *shdr)
{
	GElf_Chdr chdr;

	if (!(shdr->sh_flags & SHF_COMPRESSED))
		return true;
	return gelf_getchdr(scn, &chdr) && chdr.ch_size <= SECTION_MAX && elf_compress(scn, 0, 0) == 1;
}

/* ".zdebug_x": "ZLIB", the size as eight big-endian bytes, the stream. */
static bool inflate_gnu_section(Elf_Scn *scn)
{
	const Elf_Data *data = elf_rawdata(scn, NULL);
	uint64_t size;

	/* Without the magic it was inflated by an earlier call. */
	if (!data || !data->d_buf || data->d_size < 12 || memcmp(data->d_buf, "ZLIB", 4))
		return data;
	memcpy(&size, (const char *)data->d_buf + 4, sizeof(size));
	return be64toh(size) <= SECTION_MAX && elf_compress_gnu(scn, 0, 0) == 1;
}

static bool section_data(Elf_Scn *scn, const GElf_Shdr *shdr, struct elf_section *ret)
{
	const Elf_Data *data = elf_rawdata(scn, NULL);

	if (!data || !data->d_buf || !data->d_size)
		return false;
	*ret = (struct elf_section){
		.data = data->d_buf,
		.size = data->d_size,
		.vaddr = shdr->sh_flags & SHF_ALLOC ? shdr->sh_addr : 0,
	};
	return true;
}

bool elf_file_section(struct elf_file *file, const char *name, struct elf_section *ret)
{
	char gnu_name[64];
	GElf_Shdr shdr;
	Elf_Scn *scn = find_section(file, name, &shdr);

	if (scn) {
		return shdr.sh_type != SHT_NOBITS && shdr.sh_size <= SECTION_MAX &&
		       inflate_section(scn, &shdr) && section_data(scn, &shdr, ret);
	}
	if (strncmp(name, ".debug_", 7))
		return false;
	snprintf(gnu_name, sizeof(gnu_name), ".z%s", name + 1);
	scn = find_section(file, gnu_name, &shdr);
	return scn && shdr.sh_type != SHT_NOBITS && shdr.sh_size <= SECTION_MAX &&
	       inflate_gnu_section(scn) && section_data(scn, &shdr, ret);
}

bool elf_file_section_range(struct elf_file *file, const char *name, uint64_t *offset, uint64_t *size)
{
	GElf_Shdr shdr;

	if (!find_section(file, name, &shdr) || shdr.sh_type == SHT_NOBITS ||
	    shdr.sh_offset > file->file_size || shdr.sh_size > file->file_size - shdr.sh_offset)
		return false;
	*offset = shdr.sh_offset;
	*size = shdr.sh_size;
	return true;
}

bool elf_file_section_vaddr(struct elf_file *file, const char *name, uint64_t *ret)
{
	GElf_Shdr shdr;

	if (!find_section(file, name, &shdr))
		return false;
	*ret = shdr.sh_addr;
	return true;
}

bool elf_file_read(const struct elf_file *file, uint64_t offset, void *buf, size_t size)
{
	char *at = buf;

	if (offset > file->file_size || size > file->file_size - offset)
		return false;
	if (file->image) {
		memcpy(buf, file->image + offset, size);
		return true;
	}
	while (size) {
		ssize_t n = pread(file->fd, at, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		offset += (uint64_t)n;
		size -= (size_t)n;
	}
	return true;
}

bool elf_file_phdr(const struct elf_file *file, uint32_t type, uint64_t *vaddr, uint64_t *size)
{
	GElf_Phdr ph;
	size_t n;

	if (elf_getphdrnum(file->elf, &n) || n > SEGMENTS_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!gelf_getphdr(file->elf, (int)i, &ph) || ph.p_type != type)
			continue;
		*vaddr = ph.p_vaddr;
		*size = ph.p_filesz;
		return true;
	}
	return false;
}

static const unsigned char *chunk_at(struct elf_file *file, uint64_t offset, uint64_t size)
{
	const Elf_Data *data;

	if (offset > file->file_size || size > file->file_size - offset || size > SECTION_MAX || !size)
		return NULL;
	data = elf_getdata_rawchunk(file->elf, (int64_t)offset, size, ELF_T_BYTE);
	return data ? data->d_buf : NULL;
}

const unsigned char *elf_file_at(struct elf_file *file, uint64_t vaddr, size_t size)
{
	for (size_t i = 0; i < file->n_segments; i++) {
		const struct elf_segment *s = &file->segments[i];

		if (vaddr >= s->vaddr && vaddr - s->vaddr < s->size &&
		    size <= s->size - (vaddr - s->vaddr))
			return chunk_at(file, s->offset + (vaddr - s->vaddr), size);
	}
	return NULL;
}

/* The first GNU build ID among the notes; 0 if there is none. */
static size_t find_build_id(const unsigned char *notes, size_t size, unsigned char id[static 20])
{
	Elf64_Nhdr note;

	while (size >= sizeof(note)) {
		size_t name, desc;

		memcpy(&note, notes, sizeof(note));
		notes += sizeof(note);
		size -= sizeof(note);
		name = ((size_t)note.n_namesz + 3) & ~(size_t)3;
		desc = ((size_t)note.n_descsz + 3) & ~(size_t)3;
		if (name > size || note.n_descsz > size - name)
			break;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && !memcmp(notes, "GNU", 4)) {
			size_t len = note.n_descsz < 20 ? note.n_descsz : 20;

			memcpy(id, notes + name, len);
			return len;
		}
		if (desc > size - name)
			break;
		notes += name + desc;
		size -= name + desc;
	}
	return 0;
}

size_t elf_file_build_id(const struct elf_file *file, unsigned char id[static 20])
{
	struct elf_section section;
	GElf_Phdr ph;
	size_t n, len;

	if (elf_getphdrnum(file->elf, &n) || n > SEGMENTS_MAX)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		const unsigned char *notes;

		if (!gelf_getphdr(file->elf, (int)i, &ph) || ph.p_type != PT_NOTE || ph.p_filesz > NOTES_MAX)
			continue;
		notes = chunk_at((struct elf_file *)file, ph.p_offset, ph.p_filesz);
		len = notes ? find_build_id(notes, ph.p_filesz, id) : 0;
		if (len)
			return len;
	}
	if (elf_file_section((struct elf_file *)file, ".note.gnu.build-id", &section))
		return find_build_id(section.data, section.size, id);
	return 0;
}

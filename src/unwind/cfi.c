/* SPDX-License-Identifier: MIT */
/* Parsing CIEs and FDEs. */
#include "unwind/cfi.h"

#define LETTERS_MAX 16u	/* length of an augmentation string */

struct entry {
	struct cursor body;	/* behind the CIE reference */
	uint64_t id;		/* the CIE reference */
	uint64_t id_offset;	/* where it stands in the section */
	uint64_t next;
	bool wide;		/* 64-bit DWARF */
};

static uint64_t offset_of(const struct cfi_section *section, const struct cursor *c)
{
	return (uint64_t)(c->pos - section->data);
}

static enum cfi_entry_kind classify(const struct cfi_section *section, const struct entry *e)
{
	uint64_t cie_id = 0;

	if (section->debug_frame)
		cie_id = e->wide ? UINT64_MAX : UINT32_MAX;
	return e->id == cie_id ? CFI_ENTRY_CIE : CFI_ENTRY_FDE;
}

static enum cfi_entry_kind read_entry(const struct cfi_section *section, uint64_t offset, struct entry *e)
{
	struct cursor c = { section->data, section->data + section->size, false };
	uint64_t length;

	*e = (struct entry){ .next = section->size };
	cursor_skip(&c, offset);
	length = cursor_u32(&c);
	if (c.failed)
		return CFI_ENTRY_BAD;
	if (length == 0) {
		e->next = offset_of(section, &c);
		return CFI_ENTRY_TERMINATOR;
	}
	if (length == UINT32_MAX) {
		e->wide = true;
		length = cursor_u64(&c);
	}
	if (c.failed || length > cursor_left(&c))
		return CFI_ENTRY_BAD;

	e->body = (struct cursor){ c.pos, c.pos + length, false };
	e->next = offset_of(section, &e->body) + length;
	e->id_offset = offset_of(section, &e->body);
	/* .eh_frame's CIE reference has four bytes in either format. */
	e->id = e->wide && section->debug_frame ? cursor_u64(&e->body) : cursor_u32(&e->body);
	return e->body.failed ? CFI_ENTRY_BAD : classify(section, e);
}

enum cfi_entry_kind cfi_entry_kind(const struct cfi_section *section, uint64_t offset, uint64_t *next)
{
	struct entry e;
	enum cfi_entry_kind kind = read_entry(section, offset, &e);

	*next = e.next;
	return kind;
}

static uint64_t read_encoded(const struct cfi_section *section, struct cursor *c, uint8_t encoding)
{
	return cursor_pointer(c, encoding, section->vaddr + offset_of(section, c), 0);
}

/* The letters that a leading "z" announces data for; unknown ones end the reading, not the CIE. */
static bool parse_augmentation(const struct cfi_section *section, struct cursor *c, const char *letters,
			       struct cfi_cie *cie)
{
	struct cursor data;
	uint64_t size;

	if (*letters != 'z')
		return *letters == '\0';
	cie->has_augmentation_data = true;
	size = cursor_uleb(c);
	data.pos = cursor_skip(c, size);
	if (!data.pos)
		return false;
	data.end = data.pos + size;
	data.failed = false;

	while (*++letters) {
		if (*letters == 'R') {
			cie->fde_encoding = cursor_u8(&data);
		} else if (*letters == 'P') {
			uint8_t encoding = cursor_u8(&data);

			/* Only stepped over, so an indirect one is as good. */
			cursor_pointer_format(&data, encoding);
		} else if (*letters == 'L') {
			cursor_u8(&data);
		} else if (*letters == 'S') {
			cie->signal_frame = true;
		} else if (*letters != 'B' && *letters != 'G') {
			break;
		}
	}
	return !data.failed;
}

static bool parse_cie(const struct cfi_section *section, uint64_t offset, struct cfi_cie *ret)
{
	struct cfi_cie cie = {0};
	struct entry e;
	struct cursor *c = &e.body;
	const char *letters;
	uint64_t ra;
	uint8_t version;

	if (read_entry(section, offset, &e) != CFI_ENTRY_CIE)
		return false;
	version = cursor_u8(c);
	if (version != 1 && version != 3 && version != 4)
		return false;
	letters = (const char *)c->pos;
	cursor_skip(c, strnlen(letters, cursor_left(c) < LETTERS_MAX ? cursor_left(c) : LETTERS_MAX));
	if (cursor_u8(c))
		return false;
	if (version == 4 && (cursor_u8(c) != 8 || cursor_u8(c) != 0))
		return false;
	cie.code_align = cursor_uleb(c);
	cie.data_align = cursor_sleb(c);
	ra = version == 1 ? cursor_u8(c) : cursor_uleb(c);
	if (c->failed || ra != UNWIND_RIP || !parse_augmentation(section, c, letters, &cie))
		return false;
	cie.program = *c;
	*ret = cie;
	return true;
}

static bool find_cie(const struct cfi_section *section, const struct entry *e, uint64_t *offset)
{
	if (section->debug_frame) {
		*offset = e->id;
		return true;
	}
	*offset = e->id_offset - e->id;
	return e->id <= e->id_offset;
}

bool cfi_parse_fde(const struct cfi_section *section, uint64_t offset, struct cfi_fde *ret)
{
	struct cfi_fde fde = {0};
	struct entry e;
	struct cursor *c = &e.body;
	uint64_t cie_offset, length;

	if (read_entry(section, offset, &e) != CFI_ENTRY_FDE || !find_cie(section, &e, &cie_offset) ||
	    !parse_cie(section, cie_offset, &fde.cie))
		return false;
	fde.start = read_encoded(section, c, fde.cie.fde_encoding);
	length = cursor_pointer_format(c, fde.cie.fde_encoding & POINTER_FORMAT_MASK);
	if (fde.cie.has_augmentation_data)
		cursor_skip(c, cursor_uleb(c));
	if (c->failed || length == 0 || length > UINT64_MAX - fde.start)
		return false;
	fde.end = fde.start + length;
	fde.program = *c;
	*ret = fde;
	return true;
}

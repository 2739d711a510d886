/* Files over SMB are hashed while they pass: per open file and direction, the
 * bytes from offset 0 on, in order. The digest is reported when the size that
 * the server told is reached, when the client closes the file, or when it begins
 * at offset 0 again (pipes, rereading). So a client that reads only the first
 * part of a file gives the digest of that part: those bytes did pass, and
 * previews, shells and other sensors do the same. Bytes that come again are
 * stepped over; a run that leaves a hole ends the file as cut. Answers out of
 * order are not put back in order: their size (up to 8 MiB each) is not worth
 * holding. */
#include "sensor/smb_files.h"

#include <string.h>

#include "sensor/utf16.h"

/* ---- names ---- */

/* In UTF-8, without the separators that some clients begin with and without the
 * NUL that some end with. */
static struct bytes name_text(struct bytes wire, bool unicode, char out[static SMB_NAME_MAX / 2 * 3])
{
	const uint8_t *p = wire.p;
	size_t n = wire.n;
	if (unicode) {
		n = utf16_to_utf8(wire, out, SMB_NAME_MAX / 2 * 3);
		p = (const uint8_t *)out;
	}
	while (n && p[n - 1] == '\0')
		n--;
	for (; n && p[0] == '\\'; n--)
		p++;
	return (struct bytes){p, n};
}

void smb_name(struct inspect *in, struct smb_files *f, struct bytes wire, bool unicode)
{
	char text[SMB_NAME_MAX / 2 * 3];
	if (!wanted(in, WHERE_SMB_FILE) || !wire.n)
		return;
	if (wire.n > SMB_NAME_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		return;
	}
	struct bytes name = name_text(wire, unicode, text);
	size_t from = name.n;
	while (from && name.p[from - 1] != '\\')
		from--;
	f->shown = name;
	if (name.n)
		observe(in, WHERE_SMB_FILE, name.p, name.n);
	if (from && from < name.n)
		observe(in, WHERE_SMB_FILE, name.p + from, name.n - from);
	f->shown = (struct bytes){0};
}

/* ---- open files ---- */

static void transfer_end(struct inspect *in, struct smb_files *f, struct smb_open *o, enum smb_direction d, bool whole)
{
	struct smb_transfer *t = &o->transfer[d];
	f->shown = (struct bytes){(const uint8_t *)o->name, o->name_n};
	file_end(in, t->file, whole);
	t->file = NULL;
	f->shown = (struct bytes){0};
}

static void open_end(struct inspect *in, struct smb_files *f, struct smb_open *o, bool whole)
{
	struct smb_open **at = &f->first;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	f->opens--;
	transfer_end(in, f, o, SMB_READ, whole);
	transfer_end(in, f, o, SMB_WRITE, whole);
	mem_free(in->mem, o, sizeof(*o));
}

static struct smb_open *open_oldest(struct smb_files *f)
{
	struct smb_open *o = f->first;
	while (o->next)
		o = o->next;
	return o;
}

struct smb_open *smb_open_begin(struct inspect *in, struct smb_files *f, struct bytes wire, bool unicode)
{
	char text[SMB_NAME_MAX / 2 * 3];
	if (!file_wanted(in))
		return NULL;
	if (f->opens == SMB_OPENS_MAX) {
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
		open_end(in, f, open_oldest(f), false);
	}
	struct smb_open *o = mem_alloc(in->mem, sizeof(*o));
	if (!o) {
		ledger_count(in->ledger, LEDGER_PARSER_MEMORY);
		return NULL;
	}
	if (wire.n <= SMB_NAME_MAX) {
		struct bytes name = name_text(wire, unicode, text);
		o->name_n = (uint16_t)(name.n < sizeof(o->name) ? name.n : sizeof(o->name));
		if (o->name_n)
			memcpy(o->name, name.p, o->name_n);
	}
	o->serial = ++f->serial ? f->serial : ++f->serial;
	o->next = f->first;
	f->first = o;
	f->opens++;
	return o;
}

static void open_known(struct smb_open *o, const uint8_t fid[static 16], uint64_t size)
{
	memcpy(o->fid, fid, sizeof(o->fid));
	o->known = true;
	o->size = size;
}

struct smb_open *smb_open_assume(struct inspect *in, struct smb_files *f, const uint8_t fid[static 16])
{
	struct smb_open *o = smb_open_begin(in, f, (struct bytes){0}, false);
	if (o) {
		open_known(o, fid, 0);
		o->assumed = true;
	}
	return o;
}

static bool has_fid(const struct smb_open *o, const uint8_t fid[static 16])
{
	return o->known && memcmp(o->fid, fid, sizeof(o->fid)) == 0;
}

/* The server uses a file id again once it is closed, so the oldest is meant. */
static struct smb_open *assumed_oldest(const struct smb_files *f, const uint8_t fid[static 16])
{
	struct smb_open *oldest = NULL;
	for (struct smb_open *o = f->first; o; o = o->next)
		if (o->assumed && has_fid(o, fid) && (!oldest || (int32_t)(o->serial - oldest->serial) < 0))
			oldest = o;
	return oldest;
}

/* Requests that wait are about `early`, so that one stays. */
static struct smb_open *merge(struct inspect *in, struct smb_files *f, struct smb_open *early, struct smb_open *named)
{
	memcpy(early->name, named->name, named->name_n);
	early->name_n = named->name_n;
	early->assumed = false;
	if (f->chained == named->serial)
		f->chained = early->serial;
	open_end(in, f, named, false);
	return early;
}

void smb_open_answer(struct inspect *in, struct smb_files *f, struct smb_open *o, const uint8_t fid[static 16],
		     uint64_t size)
{
	struct smb_open *early = assumed_oldest(f, fid), *stale = NULL;
	if (early)
		o = merge(in, f, early, o);
	else if ((stale = smb_open_find(f, fid))) /* its CLOSE was not seen */
		open_end(in, f, stale, false);
	open_known(o, fid, size);
	if (o->transfer[SMB_READ].file && o->transfer[SMB_READ].at == size)
		transfer_end(in, f, o, SMB_READ, true);
}

static struct smb_open *to_front(struct smb_files *f, struct smb_open **at)
{
	struct smb_open *o = *at;
	if (o) {
		*at = o->next;
		o->next = f->first;
		f->first = o;
	}
	return o;
}

struct smb_open *smb_open_find(struct smb_files *f, const uint8_t fid[static 16])
{
	struct smb_open **at = &f->first;
	while (*at && ((*at)->closed || !has_fid(*at, fid)))
		at = &(*at)->next;
	return to_front(f, at);
}

struct smb_open *smb_open_serial(struct smb_files *f, uint32_t serial)
{
	struct smb_open **at = &f->first;
	while (*at && (*at)->serial != serial)
		at = &(*at)->next;
	return to_front(f, at);
}

void smb_open_close(struct inspect *in, struct smb_files *f, struct smb_open *o, uint64_t id, uint16_t command)
{
	if (!o)
		return;
	if (!o->reads) {
		open_end(in, f, o, true);
		return;
	}
	o->closed = true;
	transfer_end(in, f, o, SMB_WRITE, true);
	smb_request_put(in, f, id, command, o->serial, 0);
}

void smb_open_closed(struct inspect *in, struct smb_files *f, uint64_t id, uint16_t command)
{
	struct smb_request r;
	struct smb_open *o = smb_request_take(f, id, command, false, &r) ? smb_open_serial(f, r.open) : NULL;
	if (o)
		open_end(in, f, o, true);
}

void smb_open_refused(struct inspect *in, struct smb_files *f, struct smb_open *o)
{
	if (o)
		open_end(in, f, o, false);
}

/* ---- requests ---- */

/* Message ids count up by one (SMB2), or by one or 64 (SMB1): neighbours never meet. */
static struct smb_request *slot(struct smb_files *f, uint64_t id)
{
	return &f->request[(id + (id >> 6)) & (SMB_REQUESTS_MAX - 1)];
}

void smb_request_put(struct inspect *in, struct smb_files *f, uint64_t id, uint16_t command, uint32_t open,
		     uint64_t offset)
{
	struct smb_request *r = slot(f, id);
	if (r->command && r->id != id)
		ledger_count(in->ledger, LEDGER_PARSER_LIMIT);
	*r = (struct smb_request){.id = id, .offset = offset, .open = open, .command = (uint16_t)(command + 1)};
}

bool smb_request_take(struct smb_files *f, uint64_t id, uint16_t command, bool keep, struct smb_request *out)
{
	struct smb_request *r = slot(f, id);
	if (r->command != command + 1 || r->id != id)
		return false;
	*out = *r;
	if (!keep)
		r->command = 0;
	return true;
}

/* ---- bytes ---- */

void smb_transfer_begin(struct inspect *in, struct smb_files *f, struct smb_open *o, enum smb_direction d,
			uint64_t offset)
{
	struct smb_transfer *t = &o->transfer[d];
	t->old = 0;
	if (offset == 0) {
		transfer_end(in, f, o, d, true);
		t->file = file_begin(in);
		t->at = 0;
	} else if (offset < t->at) {
		t->old = t->at - offset;
	} else if (offset > t->at && offset != UINT64_MAX) {
		smb_transfer_cut(in, f, o, d);
	}
}

void smb_transfer_data(struct inspect *in, struct smb_files *f, struct smb_open *o, enum smb_direction d,
		       const uint8_t *p, size_t n)
{
	struct smb_transfer *t = &o->transfer[d];
	if (!t->file || n <= t->old) {
		t->old -= n < t->old ? n : t->old;
		return;
	}
	file_data(t->file, p + t->old, n - t->old);
	t->at += n - t->old;
	t->old = 0;
	if (d == SMB_READ && t->at == o->size)
		transfer_end(in, f, o, d, true);
}

void smb_transfer_cut(struct inspect *in, struct smb_files *f, struct smb_open *o, enum smb_direction d)
{
	transfer_end(in, f, o, d, false);
}

void smb_files_end(struct inspect *in, struct smb_files *f)
{
	while (f->first)
		open_end(in, f, f->first, false);
}

void smb_files_drop(struct inspect *in, struct smb_files *f)
{
	while (f->first) {
		struct smb_open *o = f->first;
		f->first = o->next;
		file_drop(in, o->transfer[SMB_READ].file);
		file_drop(in, o->transfer[SMB_WRITE].file);
		mem_free(in->mem, o, sizeof(*o));
	}
	f->opens = 0;
	smb_pipes_drop(in, &f->pipes);
}

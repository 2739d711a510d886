/* Reading capture files: pieces of READ_STEP bytes through one buffer.
 *
 * A mapping was weighed: it saves the copy, but each page of it costs a fault or a
 * share of one, its way into the page tables and out again, and an entry of the TLB,
 * and what the kernel copies is in the cache when the decoder comes by. Measured on 1.5 M
 * packets of 343 bytes, page cache warm, rounds in turns, whole inspection: mapped and
 * asked for ahead 534 ns a packet, read() 470 to 490, in pieces of 256 KiB as of 1 MiB.
 * And a file that shrinks while it is read only ends earlier; under a mapping it
 * raises SIGBUS. The buffer is one huge page where there are any.
 *
 * Memory is bounded by INPUT_BUFFER, zlib's 32 KiB and zstd's window of at most
 * 2^ZSTD_WINDOW_LOG bytes. gzip members and zstd frames may follow one another. */
#include "sensor/capture_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "common/buf.h"
#include "common/exits.h"
#include "common/log.h"

enum {
	INPUT_BUFFER = 2 << 20,
	READ_STEP = 256 << 10,
	COMPRESSED_BUFFER = 256 << 10,
	ZSTD_WINDOW_LOG = 27,
	MAGIC_MAX = 6
};

struct input_source {
	const char *name; /* borrowed */
	int fd;           /* -1 = memory */
	bool file_end;
	bool ended;      /* nothing more will come into the window */
	bool cut;        /* because compressed data ended too early */
	uint64_t skip;   /* bytes still to be stepped over */
	uint8_t *buffer; /* the window lies in here */
	size_t filled;
	uint8_t *packed; /* compressed bytes; NULL = not compressed */
	size_t packed_at, packed_n;
	z_stream zlib;
	bool zlib_open, member_open;
	ZSTD_DCtx *zstd;
};

static bool open_path(struct input_source *s, const char *path, struct err *e)
{
	if (strcmp(path, "-") == 0) {
		s->fd = dup(STDIN_FILENO);
		if (s->fd < 0)
			return err_errno(e, "cannot read a capture from standard input");
		if (isatty(s->fd))
			return err_set(e, "cannot read a capture from standard input: it is a terminal");
		return true;
	}
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (s->fd < 0)
		return err_errno(e, "cannot read \"%s\"", path);
	struct stat st;
	if (fstat(s->fd, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(e, "cannot read \"%s\": it is a directory", path);
	posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return true;
}

static uint8_t *buffer_new(void)
{
	uint8_t *p = aligned_alloc(INPUT_BUFFER, INPUT_BUFFER);
	if (!p)
		log_fatal(EXIT_ENVIRONMENT, "out of memory for reading captures");
	madvise(p, INPUT_BUFFER, MADV_HUGEPAGE);
	return p;
}

/* Reads once, at most READ_STEP bytes; n stays 0 at the end. */
static bool read_some(struct input_source *s, uint8_t *to, size_t cap, size_t *n, struct err *e)
{
	ssize_t got;
	do
		got = read(s->fd, to, cap < READ_STEP ? cap : READ_STEP);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return err_errno(e, "cannot read \"%s\"", s->name);
	if (got == 0)
		s->file_end = true;
	*n = (size_t)got;
	return true;
}

static bool read_magic(struct input_source *s, struct err *e)
{
	while (s->filled < MAGIC_MAX && !s->file_end) {
		size_t n;
		if (!read_some(s, s->buffer + s->filled, INPUT_BUFFER - s->filled, &n, e))
			return false;
		s->filled += n;
	}
	return s->filled ? true : err_set(e, "cannot read \"%s\": it is empty", s->name);
}

static bool starts(const struct input_source *s, const char *magic, size_t n)
{
	return s->filled >= n && memcmp(s->buffer, magic, n) == 0;
}

static bool open_gzip(struct input_source *s, struct err *e)
{
	if (inflateInit2(&s->zlib, 16 + MAX_WBITS) != Z_OK)
		return err_set(e, "cannot read \"%s\": no memory for gzip", s->name);
	s->zlib_open = s->member_open = true;
	return true;
}

static bool open_zstd(struct input_source *s, struct err *e)
{
	s->zstd = ZSTD_createDCtx();
	if (!s->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG)))
		return err_set(e, "cannot read \"%s\": no memory for zstd", s->name);
	s->member_open = true;
	return true;
}

/* Sees whether the file is compressed; then what was read is the first input of
 * the decompressor. */
static bool open_compression(struct input_source *s, struct err *e)
{
	bool gzip = starts(s, "\x1f\x8b", 2), zstd = starts(s, "\x28\xb5\x2f\xfd", 4);
	if (starts(s,
		   "\xfd"
		   "7zXZ",
		   5) ||
	    starts(s, "BZh", 3) || starts(s, "\x04\x22\x4d\x18", 4) || starts(s, "PK\3\4", 4))
		return err_set(
		    e, "cannot read \"%s\": its compression is not one that Picket reads (gzip, zstd): unpack it first",
		    s->name);
	if (!gzip && !zstd)
		return true;
	if (gzip ? !open_gzip(s, e) : !open_zstd(s, e))
		return false;
	s->packed = s->buffer;
	s->packed_n = s->filled;
	s->filled = 0;
	s->buffer = buffer_new();
	return true;
}

bool input_open(struct input *in, const char *path, struct err *e)
{
	struct input_source *s = xcalloc(1, sizeof(*s));
	*in = (struct input){.source = s};
	s->name = strcmp(path, "-") == 0 ? "standard input" : path;
	s->fd = -1;
	s->buffer = buffer_new();
	if (!open_path(s, path, e) || !read_magic(s, e) || !open_compression(s, e)) {
		input_close(in);
		return false;
	}
	in->p = s->buffer;
	in->n = s->filled;
	return true;
}

void input_open_memory(struct input *in, const void *data, size_t n)
{
	struct input_source *s = xcalloc(1, sizeof(*s));
	s->fd = -1;
	s->ended = true;
	s->name = "memory";
	*in = (struct input){.p = data, .n = n, .source = s};
}

void input_close(struct input *in)
{
	struct input_source *s = in->source;
	if (!s)
		return;
	if (s->fd >= 0)
		close(s->fd);
	if (s->zlib_open)
		inflateEnd(&s->zlib);
	ZSTD_freeDCtx(s->zstd);
	free(s->buffer);
	free(s->packed);
	free(s);
	*in = (struct input){0};
}

void input_skip(struct input *in, uint64_t n)
{
	if (n <= in->n) {
		input_use(in, (size_t)n);
		return;
	}
	in->source->skip = n - in->n;
	input_use(in, in->n);
}

bool input_skipping(const struct input *in)
{
	return in->source->skip > 0;
}

/* One step of gzip: false = damaged. Behind a member zero bytes are padding and
 * 1f begins another member. */
static bool gunzip(struct input_source *s, struct err *e)
{
	if (!s->member_open) {
		while (s->packed_at < s->packed_n && s->packed[s->packed_at] == 0)
			s->packed_at++;
		if (s->packed_at == s->packed_n)
			return true;
		if (s->packed[s->packed_at] != 0x1f)
			return err_set(e, "\"%s\" is damaged: bytes that are not gzip follow its end", s->name);
		inflateReset(&s->zlib);
		s->member_open = true;
	}
	s->zlib.next_in = s->packed + s->packed_at;
	s->zlib.avail_in = (uInt)(s->packed_n - s->packed_at);
	s->zlib.next_out = s->buffer + s->filled;
	s->zlib.avail_out = (uInt)(INPUT_BUFFER - s->filled);
	int r = inflate(&s->zlib, Z_NO_FLUSH);
	s->packed_at = s->packed_n - s->zlib.avail_in;
	s->filled = INPUT_BUFFER - s->zlib.avail_out;
	if (r == Z_STREAM_END)
		s->member_open = false;
	if (r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR)
		return true;
	return err_set(e, "\"%s\" is damaged: gzip says \"%s\"", s->name, s->zlib.msg ? s->zlib.msg : zError(r));
}

static bool unzstd(struct input_source *s, struct err *e)
{
	ZSTD_inBuffer from = {.src = s->packed, .size = s->packed_n, .pos = s->packed_at};
	ZSTD_outBuffer to = {.dst = s->buffer, .size = INPUT_BUFFER, .pos = s->filled};
	size_t r = ZSTD_decompressStream(s->zstd, &to, &from);
	bool moved = from.pos > s->packed_at || to.pos > s->filled; /* otherwise it only asks for the next frame */
	s->packed_at = from.pos;
	s->filled = to.pos;
	if (ZSTD_isError(r))
		return err_set(e, "\"%s\" is damaged: zstd says \"%s\"", s->name, ZSTD_getErrorName(r));
	if (moved)
		s->member_open = r != 0;
	return true;
}

/* Until something has come out, or everything has gone in. */
static bool unpack(struct input_source *s, struct err *e)
{
	size_t before = s->filled;
	while (s->filled == before) {
		if (s->packed_at == s->packed_n && !s->file_end) {
			s->packed_at = s->packed_n = 0;
			if (!read_some(s, s->packed, COMPRESSED_BUFFER, &s->packed_n, e))
				return false;
		}
		size_t at = s->packed_at;
		if (!(s->zstd ? unzstd(s, e) : gunzip(s, e)))
			return false;
		if (s->filled == before && s->file_end && s->packed_at == at)
			break;
	}
	if (s->filled > before)
		return true;
	s->ended = true;
	s->cut = s->member_open;
	return s->cut ? err_set(e, "\"%s\" is cut short: its compressed data ends too early", s->name) : true;
}

static bool add(struct input_source *s, struct err *e)
{
	if (s->packed)
		return unpack(s, e);
	size_t n;
	if (!read_some(s, s->buffer + s->filled, INPUT_BUFFER - s->filled, &n, e))
		return false;
	s->filled += n;
	s->ended = s->file_end;
	return true;
}

/* Takes what was added into the window, less what is to be stepped over. */
static void move_on(struct input *in)
{
	struct input_source *s = in->source;
	in->p = s->buffer;
	in->n = s->filled;
	size_t over = s->skip < in->n ? (size_t)s->skip : in->n;
	s->skip -= over;
	input_use(in, over);
	if (in->n == 0)
		s->filled = 0;
}

enum input_result input_fill(struct input *in, struct err *e)
{
	struct input_source *s = in->source;
	if (s->ended)
		return INPUT_END;
	if (in->n > INPUT_WINDOW_MAX) /* more than anybody may ask for */
		return INPUT_END;
	memmove(s->buffer, in->p, in->n);
	s->filled = in->n;
	in->p = s->buffer;
	do {
		bool ok = add(s, e);
		move_on(in);
		if (!ok) {
			s->ended = true;
			return s->cut ? INPUT_CUT : INPUT_FAILED;
		}
	} while (in->n == 0 && !s->ended);
	return in->n ? INPUT_MORE : INPUT_END;
}

const char *input_compression(const struct input *in)
{
	if (!in->source->packed)
		return "";
	return in->source->zstd ? "zstd" : "gzip";
}

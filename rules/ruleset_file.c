/* The compiled set as a file: written beside its name and renamed, so readers
 * see the old or the new one, never half of either; mapped read-only, so all
 * processes share one copy of it in the page cache.
 *
 * A file must be replaced by renaming, never cut or written in place: processes
 * that have it mapped would die of SIGBUS. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/text.h"
#include "rules/ruleset_format.h"

#define CHECKSUM_FROM 32 /* behind the checksum itself */
#define HUGE_PAGE     ((size_t)2 << 20)

uint64_t ruleset_checksum(const void *map, size_t bytes)
{
	const struct ruleset_head *h = map;
	return hash64(&h->key, (const uint8_t *)map + CHECKSUM_FROM, bytes - CHECKSUM_FROM);
}

/* ---- opening ---- */

static bool check_head(const struct ruleset_head *h, size_t bytes, const char *name, struct err *e)
{
	if (memcmp(h->magic, RULESET_MAGIC, sizeof(h->magic)) != 0)
		return err_set(e, "\"%s\" is not a compiled rule set", name);
	if (h->endian != RULESET_ENDIAN)
		return err_set(e, "\"%s\" was compiled on a machine of the other byte order: compile it again here",
			       name);
	if (h->version != RULESET_VERSION)
		return err_set(e, "\"%s\" has format %u, this program reads format %u: compile it again", name,
			       h->version, RULESET_VERSION);
	if (h->bytes != bytes)
		return err_set(e, "\"%s\" is damaged: it has %zu bytes and says %llu", name, bytes,
			       (unsigned long long)h->bytes);
	if (h->count > RULESET_MAX || h->allow > RULESET_MAX || h->filter_bits4 > FILTER_BITS_MAX ||
	    h->filter_bits6 > FILTER_BITS_MAX)
		return err_set(e, "\"%s\" is damaged: its head is out of bounds", name);
	return true;
}

/* The section if it lies in the file and holds whole elements; their number goes to *n. */
static const void *view(const struct ruleset *r, enum ruleset_section s, size_t element, uint32_t *n)
{
	uint64_t offset = r->head.section[s].offset, bytes = r->head.section[s].bytes;
	if (offset < sizeof(r->head) || offset % RULESET_ALIGN || offset > r->bytes || bytes > r->bytes - offset ||
	    bytes % element || bytes / element >= RULESET_NONE)
		return NULL;
	*n = (uint32_t)(bytes / element);
	return r->map + offset;
}

static bool terminated(const char *text, uint32_t n)
{
	return text && n && text[n - 1] == '\0';
}

static bool filter_fits(const uint8_t *map, uint32_t bytes, unsigned bits)
{
	return map && (bits == 0 || bits >= FILTER_BITS_MIN) && bytes == (bits ? 1u << (bits - 3) : 0);
}

static bool map_sections(struct ruleset *r)
{
	uint32_t counts_n = 0, offset_n = 0, net4_n = 0, net6_n = 0;
	const void *counts = view(r, SECTION_COUNTS, sizeof(struct ruleset_counts), &counts_n);
	r->sets = view(r, SECTION_SETS, sizeof(*r->sets), &r->set_n);
	r->metas = view(r, SECTION_METAS, sizeof(*r->metas), &r->meta_n);
	r->strings = view(r, SECTION_STRINGS, 1, &r->strings_n);
	r->records = view(r, SECTION_RECORDS, 1, &r->records_n);
	r->files = view(r, SECTION_FILES, 1, &r->files_n);
	r->places = view(r, SECTION_PLACES, sizeof(*r->places), &r->place_n);
	r->offsets = view(r, SECTION_OFFSETS, sizeof(*r->offsets), &offset_n);
	r->groups = view(r, SECTION_GROUPS, sizeof(*r->groups), &r->group_n);
	r->patterns = view(r, SECTION_PATTERNS, sizeof(*r->patterns), &r->pattern_n);
	r->bloom = view(r, SECTION_BLOOM, BLOOM_BLOCK_BYTES, &r->bloom_n);
	r->table = view(r, SECTION_TABLE, sizeof(*r->table), &r->table_n);
	r->net4 = view(r, SECTION_NET4, 1, &net4_n);
	r->net6 = view(r, SECTION_NET6, 1, &net6_n);
	return counts && counts_n == 1 && r->sets && r->metas && r->records && r->places && r->offsets && r->groups &&
	       r->patterns && r->bloom && r->bloom_n && r->table && r->table_n &&
	       terminated(r->strings, r->strings_n) && terminated(r->files, r->files_n) &&
	       filter_fits(r->net4, net4_n, r->head.filter_bits4) &&
	       filter_fits(r->net6, net6_n, r->head.filter_bits6) && offset_n == r->head.count + r->head.allow;
}

struct ruleset *ruleset_adopt(const void *map, size_t bytes, const char *name, struct err *e)
{
	struct ruleset *r = xcalloc(1, sizeof(*r));
	r->map = map;
	r->bytes = bytes;
	memcpy(&r->head, map, sizeof(r->head));
	bool good = check_head(&r->head, bytes, name, e);
	if (good && !map_sections(r))
		good = err_set(e, "\"%s\" is damaged: its table of sections is out of bounds", name);
	if (!good) {
		ruleset_free(r);
		return NULL;
	}
	text_hex(r->digest, r->head.digest, sizeof(r->head.digest));
	r->silenced = r->head.allow ? xcalloc(r->head.allow, sizeof(*r->silenced)) : NULL;
	return r;
}

static const void *map_file(const char *path, size_t *bytes, struct err *e)
{
	struct stat st;
	void *map = MAP_FAILED;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		err_errno(e, "cannot open the compiled rule set \"%s\"", path);
		return NULL;
	}
	if (fstat(fd, &st))
		err_errno(e, "cannot read the compiled rule set \"%s\"", path);
	else if (!S_ISREG(st.st_mode) || (size_t)st.st_size < sizeof(struct ruleset_head))
		err_set(e, "\"%s\" is not a compiled rule set", path);
	else if ((map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
		err_errno(e, "cannot map the compiled rule set \"%s\"", path);
	*bytes = map == MAP_FAILED ? 0 : (size_t)st.st_size;
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

struct ruleset *ruleset_open(const char *path, bool verify, struct err *e)
{
	size_t bytes;
	const void *map = map_file(path, &bytes, e);
	struct ruleset *r = map ? ruleset_adopt(map, bytes, path, e) : NULL;
	if (r)
		r->in_file = true;
	if (r && verify && ruleset_checksum(r->map, r->bytes) != r->head.checksum) {
		err_set(e, "\"%s\" is damaged: its checksum does not match its content", path);
		ruleset_free(r);
		return NULL;
	}
	return r;
}

/* A mapped file has pages of 4 KiB: finding one costs as much as the byte in it (15 of
 * 170 ns of a DNS packet at a million indicators, 32 of 290 at ten). Without memory or
 * huge pages the set is as good, only slower. */
void ruleset_near(struct ruleset *r)
{
	const size_t bloom = (size_t)r->bloom_n * BLOOM_BLOCK_BYTES;
	const size_t net4 = r->head.filter_bits4 ? (size_t)1 << (r->head.filter_bits4 - 3) : 0;
	const size_t net6 = r->head.filter_bits6 ? (size_t)1 << (r->head.filter_bits6 - 3) : 0;
	const size_t bytes = bloom + net4 + net6 + HUGE_PAGE;
	if (!r->in_file || r->near || bytes < 2 * HUGE_PAGE)
		return;
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return;
	r->near = map;
	r->near_bytes = bytes;
	uint8_t *at = r->near + (HUGE_PAGE - (uintptr_t)map % HUGE_PAGE) % HUGE_PAGE;
	madvise(at, bytes - HUGE_PAGE, MADV_HUGEPAGE);
	memcpy(at, r->bloom, bloom);
	memcpy(at + bloom, r->net4, net4);
	memcpy(at + bloom + net4, r->net6, net6);
	mprotect(map, bytes, PROT_READ);
	r->bloom = (const uint32_t *)(const void *)at;
	r->net4 = at + bloom;
	r->net6 = at + bloom + net4;
}

void ruleset_free(struct ruleset *r)
{
	if (!r)
		return;
	free(r->silenced);
	if (r->near)
		munmap(r->near, r->near_bytes);
	union {
		const void *in;
		void *out;
	} map = {.in = r->map}; /* munmap() wants it without the const */
	munmap(map.out, r->bytes);
	free(r);
}

bool ruleset_is_compiled(const char *path)
{
	char magic[sizeof(RULESET_MAGIC) - 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	bool is = pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
		  memcmp(magic, RULESET_MAGIC, sizeof(magic)) == 0;
	close(fd);
	return is;
}

/* ---- writing ---- */

static bool write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t put = write(fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			errno = put ? errno : ENOSPC;
			return false;
		}
		p += put;
		n -= (size_t)put;
	}
	return true;
}

/* The rename is on disk only when its folder is. */
static bool sync_folder(const char *path)
{
	char *copy = xstrdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool good = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	free(copy);
	return good;
}

bool ruleset_write(const struct ruleset *r, const char *path, struct err *e)
{
	struct buf name = {0};
	buf_printf(&name, "%s.%ld.tmp", path, (long)getpid());
	buf_u8(&name, 0);
	const char *temporary = (const char *)name.p;
	int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0) {
		err_errno(e, "cannot write \"%s\"", temporary);
		buf_free(&name);
		return false;
	}
	bool good = write_all(fd, r->map, r->bytes) && fsync(fd) == 0;
	good = close(fd) == 0 && good && rename(temporary, path) == 0;
	if (!good) {
		err_errno(e, "cannot write the compiled rule set \"%s\" (%zu bytes)", path, r->bytes);
		unlink(temporary);
	} else if (!sync_folder(path)) {
		good = err_errno(e, "cannot sync the folder of \"%s\"", path);
	}
	buf_free(&name);
	return good;
}

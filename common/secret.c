#define _GNU_SOURCE
#include "common/secret.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_TO_OTHERS 0037 /* the group writes or runs it; others do anything */

static bool kept_private(const struct stat *st, const char *path, const char *what, struct err *e)
{
	if (!S_ISREG(st->st_mode))
		return err_set(e, "cannot read %s %s: it is no file", what, path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(e, "%s %s belongs to user %u, who could replace it: chown root %s, or make a new one",
			       what, path, (unsigned)st->st_uid, path);
	if (st->st_mode & OPEN_TO_OTHERS)
		return err_set(e, "%s %s is open to others (mode %03o): chmod 0640 %s, or make a new one", what, path,
			       (unsigned)(st->st_mode & 0777), path);
	return true;
}

static bool kept_from_others(const struct stat *st, const char *path, const char *where, const char *what,
			     enum trusted_by by, struct err *e)
{
	const mode_t others = by == TRUSTED_OWNER ? S_IWGRP | S_IWOTH : S_IWOTH;
	bool sticky = S_ISDIR(st->st_mode) && st->st_mode & S_ISVTX;
	if (by == TRUSTED_OWNER && st->st_uid != 0 && st->st_uid != geteuid())
		return err_set(e, "%s %s belongs to user %u, who could replace it: chown root %s", what, where,
			       (unsigned)st->st_uid, path);
	if (st->st_mode & others && !sticky)
		return err_set(e, "%s %s may be written by others (mode %03o): chmod %s %s", what, where,
			       (unsigned)(st->st_mode & 07777), by == TRUSTED_OWNER ? "go-w" : "o-w", path);
	return true;
}

bool trusted_file(const char *path, const char *what, enum trusted_by by, struct err *e)
{
	struct stat st;
	char folder[4096], where[2 * 4096];
	const char *slash = strrchr(path, '/');
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return true;
	if (!kept_from_others(&st, path, path, what, by, e))
		return false;
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + (slash == path) : 1, slash ? path : ".");
	snprintf(where, sizeof(where), "%s: its folder %s", path, folder);
	return stat(folder, &st) != 0 || kept_from_others(&st, folder, where, what, by, e);
}

/* O_NONBLOCK: a FIFO is refused, not waited for. */
FILE *secret_open(const char *path, const char *what, struct err *e)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	FILE *f = fd >= 0 && fstat(fd, &st) == 0 ? fdopen(fd, "r") : NULL;
	if (!f) {
		err_errno(e, "cannot read %s %s", what, path);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	if (kept_private(&st, path, what, e))
		return f;
	fclose(f);
	return NULL;
}

bool secret_line(const char *path, const char *what, char *line, size_t n, struct err *e)
{
	FILE *f = secret_open(path, what, e);
	if (!f)
		return false;
	bool read = fgets(line, (int)n, f) != NULL, whole = read && (strchr(line, '\n') || fgetc(f) == EOF);
	fclose(f);
	if (read && !whole)
		return err_set(e, "the first line of %s %s is longer than %zu bytes", what, path, n - 2);
	if (read)
		line[strcspn(line, "\r\n")] = '\0';
	return (read && *line) || err_set(e, "%s %s is empty", what, path);
}

/* Rule files are read whole: they are small beside what they become, a head may
 * stand behind the lists that need it, and a broken place is stepped over. */
#include "rules/rulefile_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define READ_STEP 65536

static bool slurp(int fd, const char *path, struct buf *out, struct err *e)
{
	for (;;) {
		buf_reserve(out, READ_STEP);
		ssize_t n = read(fd, out->p + out->n, READ_STEP);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, "cannot read %s", path);
		if (n == 0)
			return true;
		out->n += (size_t)n;
		if (out->n > RULEFILE_BYTES_MAX)
			return err_set(e, "cannot read %s: longer than %u MiB; compile it or split it", path,
				       RULEFILE_BYTES_MAX >> 20);
	}
}

bool rulefile_slurp(const char *path, struct buf *out, struct err *e)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, "cannot read %s", path);
	bool ok = slurp(fd, path, out, e);
	if (!is_stdin)
		close(fd);
	return ok;
}

/* common/secret.h: which files may hold a secret, and what is said of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "common/secret.h"

static char dir[64], path[96];

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s/picket-secret-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

static void put(const char *text, mode_t mode)
{
	snprintf(path, sizeof(path), "%s/secret", dir);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static bool fit(struct err *e)
{
	FILE *f = secret_open(path, "the key", e);
	if (f)
		fclose(f);
	return f != NULL;
}

/* Every mode of nine bits against the rule in words. */
static void every_mode(void **state)
{
	(void)state;
	struct err e;
	char advice[160];
	put("x\n", 0600);
	snprintf(advice, sizeof(advice), ": chmod 0640 %s", path);
	for (unsigned mode = 0; mode < 01000; mode++) {
		bool group_writes = mode & S_IWGRP, group_runs = mode & S_IXGRP, others = mode & S_IRWXO;
		if (!(mode & S_IRUSR) && geteuid() != 0)
			continue;
		assert_int_equal(chmod(path, (mode_t)mode), 0);
		bool good = fit(&e);
		if (good != !(group_writes || group_runs || others))
			fail_msg("mode %03o: %s", mode, good ? "taken" : e.text);
		if (!good)
			assert_non_null(strstr(e.text, advice));
	}
	unlink(path);
}

static void of_another_user(void **state)
{
	(void)state;
	struct err e;
	put("x\n", 0600);
	if (geteuid() != 0)
		skip(); /* only root can give files away */
	assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
	assert_false(fit(&e));
	assert_non_null(strstr(e.text, "belongs to user 12345"));
	assert_non_null(strstr(e.text, ": chown root "));
	assert_int_equal(chown(path, 0, 12345), 0); /* root:picket-sensor 0640, as the README says */
	assert_int_equal(chmod(path, 0640), 0);
	assert_true(fit(&e));
	unlink(path);
}

/* Through a link the file itself counts; a FIFO is not waited for. */
static void other_things_than_files(void **state)
{
	(void)state;
	struct err e;
	char link[128];
	put("x\n", 0644);
	snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(symlink(path, link), 0);
	assert_null(secret_open(link, "the key", &e));
	assert_int_equal(chmod(path, 0400), 0);
	FILE *f = secret_open(link, "the key", &e);
	assert_non_null(f);
	fclose(f);
	unlink(link);
	unlink(path);
	assert_false(fit(&e)); /* absent */
	assert_non_null(strstr(e.text, "cannot read the key "));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(fit(&e));
	assert_non_null(strstr(e.text, "it is no file"));
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_false(fit(&e));
	rmdir(path);
}

static void one_line(void **state)
{
	(void)state;
	static const struct {
		const char *text, *line;
	} cases[] = {
	    {"secret\n", "secret"}, {"secret", "secret"},      {"secret\r\nmore\n", "secret"}, {"", NULL},
	    {"\nsecret\n", NULL},   {" a b \n", " a b "},      {"012345\n", "012345"},         {"01234567\n", NULL},
	    {"012345678", NULL},    {"\xff\x01\n", "\xff\x01"}};
	struct err e;
	char line[9]; /* seven bytes, the end of the line, NUL */
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		put(cases[i].text, 0600);
		assert_int_equal(secret_line(path, "the password file", line, sizeof(line), &e), cases[i].line != NULL);
		if (cases[i].line)
			assert_string_equal(line, cases[i].line);
		unlink(path);
	}
}

/* Who may write the file or its folder, in all modes, by both rules. */
static void trusted_modes(void **state)
{
	(void)state;
	struct err e;
	char advice[160];
	put("x\n", 0644);
	for (unsigned mode = 0; mode < 01000; mode++) {
		bool group = mode & S_IWGRP, others = mode & S_IWOTH;
		assert_int_equal(chmod(path, (mode_t)mode), 0);
		assert_int_equal(trusted_file(path, "the CA", TRUSTED_OWNER, &e), !group && !others);
		snprintf(advice, sizeof(advice), ": chmod go-w %s", path);
		assert_true(!(group || others) || strstr(e.text, advice));
		assert_int_equal(trusted_file(path, "the configuration", TRUSTED_GROUP, &e), !others);
		snprintf(advice, sizeof(advice), ": chmod o-w %s", path);
		assert_true(!others || strstr(e.text, advice));
	}
	assert_int_equal(chmod(path, 0644), 0);
	for (unsigned mode = 0700; mode < 02000; mode++) {
		bool group = mode & S_IWGRP, others = mode & S_IWOTH, sticky = mode & S_ISVTX;
		assert_int_equal(chmod(dir, (mode_t)mode), 0);
		if (geteuid() == 0 || mode & S_IXUSR) /* else it cannot be looked at */
			assert_int_equal(trusted_file(path, "the CA", TRUSTED_OWNER, &e), sticky || !(group || others));
		snprintf(advice, sizeof(advice), ": chmod go-w %s", dir);
		assert_true(sticky || !(group || others) || geteuid() != 0 || strstr(e.text, advice));
	}
	assert_int_equal(chmod(dir, 0700), 0);
	unlink(path);
}

static void trusted_owners(void **state)
{
	(void)state;
	struct err e;
	put("x\n", 0644);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, (gid_t)-1), 0);
		assert_false(trusted_file(path, "the CA", TRUSTED_OWNER, &e));
		assert_non_null(strstr(e.text, "belongs to user 12345"));
		assert_true(trusted_file(path, "the configuration", TRUSTED_GROUP, &e));
		assert_int_equal(chown(path, 0, 12345), 0);
		assert_true(trusted_file(path, "the CA", TRUSTED_OWNER, &e));
	}
	unlink(path);
	assert_true(trusted_file(path, "the CA", TRUSTED_OWNER, &e)); /* its reader says that it is not there */
	assert_true(trusted_file("/dev/null", "the configuration", TRUSTED_GROUP, &e));
	assert_true(trusted_file("/dev/stdin", "the configuration", TRUSTED_GROUP, &e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_mode),
	    cmocka_unit_test(of_another_user),
	    cmocka_unit_test(trusted_modes),
	    cmocka_unit_test(trusted_owners),
	    cmocka_unit_test(other_things_than_files),
	    cmocka_unit_test(one_line),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

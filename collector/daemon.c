#include "collector/daemon.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/buf.h"
#include "common/complain.h"
#include "common/exits.h"
#include "common/log.h"

#define SET_MAX     64
#define FILES_SPARE 32 /* Redis, listeners, logs, signals */

struct daemon {
	const struct daemon_program *program;
	const char *file, *extra;
	const char *set[SET_MAX];
	size_t set_n;
	bool test, dump;
	enum log_level level;
	void *conf;
};

static _Noreturn void usage_error(const struct daemon_program *p, const char *why, const char *word)
{
	complain("%s: %s%s: see --help", p->name, why, word);
	exit(EXIT_USAGE);
}

static _Noreturn void tell(const char *text)
{
	fputs(text, stdout);
	exit(EXIT_OK);
}

static void add_set(struct daemon *d, const char *word)
{
	if (d->set_n == SET_MAX)
		usage_error(d->program, "too many --set, from ", word);
	d->set[d->set_n++] = word;
}

static void parse_options(struct daemon *d, int argc, char **argv)
{
	enum { OPT_SET = 256, OPT_EXTRA, OPT_DUMP, OPT_VERSION };
	const char *extra = d->program->extra;
	const struct option longs[] = {{"config", required_argument, NULL, 'c'},
				       {"set", required_argument, NULL, OPT_SET},
				       {"test", no_argument, NULL, 'T'},
				       {"dump-config", no_argument, NULL, OPT_DUMP},
				       {"verbose", no_argument, NULL, 'v'},
				       {"quiet", no_argument, NULL, 'q'},
				       {"help", no_argument, NULL, 'h'},
				       {"version", no_argument, NULL, OPT_VERSION},
				       {extra, required_argument, NULL, OPT_EXTRA},
				       {NULL, 0, NULL, 0}};
	int c;
	while ((c = getopt_long(argc, argv, "c:Tvqh", longs, NULL)) != -1) {
		if (c == 'c')
			d->file = optarg;
		else if (c == OPT_SET)
			add_set(d, optarg);
		else if (c == OPT_EXTRA)
			d->extra = optarg;
		else if (c == 'T')
			d->test = true;
		else if (c == OPT_DUMP)
			d->dump = true;
		else if (c == 'v')
			d->level = LOG_LEVEL_DEBUG;
		else if (c == 'q')
			d->level = LOG_LEVEL_WARN;
		else if (c == 'h')
			tell(d->program->usage);
		else if (c == OPT_VERSION) {
			printf("%s ", d->program->name);
			tell(PICKET_VERSION "\n");
		} else {
			exit(EXIT_USAGE); /* getopt said what is wrong */
		}
	}
	if (optind < argc)
		usage_error(d->program, "not an option: ", argv[optind]);
}

/* Prints what was found; false when there is an error among it. At start the files that it
 * names are judged as -T judges them, so that what -T refuses ends with the same code; while
 * the program runs, each part judges its own when it loads them again. */
static bool load(const struct daemon *d, void *conf, bool with_files)
{
	const struct daemon_program *p = d->program;
	const char *where = d->file ? d->file : "configuration";
	struct diags found = {0};
	bool good = conf_load(p->keys, p->keys_n, d->file, conf, &found);
	for (size_t i = 0; i < d->set_n; i++)
		good = conf_set_word(p->keys, p->keys_n, d->set[i], conf, &found) && good;
	good = p->finish(conf, where, &found) && good;
	if (good && with_files)
		p->files(conf, where, &found);
	good = good && found.count[DIAG_ERROR] == 0;
	diag_print(&found, stderr);
	diag_free(&found);
	return good;
}

bool daemon_load_again(void *arg)
{
	struct daemon *d = arg;
	const struct daemon_program *p = d->program;
	void *fresh = xcalloc(1, p->conf_size);
	bool good = load(d, fresh, false);
	if (good) {
		conf_take_over(p->keys, p->keys_n, d->conf, fresh);
		p->taken_over(d->conf);
	} else
		log_warnx("the new configuration has errors: the old one stays");
	conf_free(p->keys, p->keys_n, fresh);
	free(fresh);
	return good;
}

const char *daemon_file(const struct daemon *d)
{
	return d->file;
}

const char *daemon_extra(const struct daemon *d)
{
	return d->extra;
}

void daemon_raise_files(int64_t connections)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur < (rlim_t)connections + FILES_SPARE)
		log_warnx("limits.connections is %" PRId64 ", but only %ju files may be open (LimitNOFILE)",
			  connections, (uintmax_t)r.rlim_cur);
}

int daemon_main(const struct daemon_program *p, int argc, char **argv)
{
	struct daemon d = {.program = p, .level = LOG_LEVEL_INFO, .conf = xcalloc(1, p->conf_size)};
	parse_options(&d, argc, argv);
	log_open(p->name, d.level);
	bool good = load(&d, d.conf, !d.dump);
	int code = good ? EXIT_OK : EXIT_INVALID;
	if (d.dump) /* also of one that is not complete yet: where else would one learn the keys */
		conf_dump(p->keys, p->keys_n, d.conf, stdout);
	else if (good && d.test)
		puts("configuration ok");
	else if (good)
		code = p->serve(&d, d.conf);
	conf_free(p->keys, p->keys_n, d.conf);
	free(d.conf);
	return code;
}

#include "sensor/confine.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/exits.h"
#include "common/log.h"

bool confine_prepare(struct sandbox *box, const struct sensor_conf *c, struct err *e)
{
	*box = (struct sandbox){.profile = SANDBOX_SENSOR};
	return !c->sandbox || sandbox_opener_start(box, e);
}

/* Rules are read again on SIGHUP; sets that come from a collector are kept. */
static void grant_rules(struct sandbox *box, const struct sensor_conf *c)
{
	struct stat st;
	for (size_t i = 0; i < c->rules.n; i++) {
		if (stat(c->rules.v[i], &st) == 0 && S_ISDIR(st.st_mode))
			sandbox_read(box, c->rules.v[i]);
		else
			sandbox_read_beside(box, c->rules.v[i]);
	}
	sandbox_read_beside(box, c->keys);
	if (c->keys && c->collectors.n)
		sandbox_write(box, c->sets_dir);
	else
		sandbox_read(box, c->sets_dir);
	for (size_t i = 0; i < c->readable.n; i++)
		sandbox_read(box, c->readable.v[i]);
}

bool confine_enter(struct sandbox *box, const struct sensor_conf *c, struct err *e)
{
	const char *const tls[] = {c->tls_cert, c->tls_key, c->tls_ca, c->tls_crl};
	if (!c->sandbox) {
		log_warnx("sandbox.on is false: the sensor keeps its rights");
		return true;
	}
	sandbox_read_system(box);
	sandbox_read(box, "/sys/class/net"); /* libpcap counts what the card dropped */
	sandbox_read(box, "/sys/devices");
	grant_rules(box, c);
	for (size_t i = 0; i < sizeof(tls) / sizeof(*tls); i++)
		sandbox_read_beside(box, tls[i]);
	if (c->collectors.n)
		sandbox_write(box, c->spool_dir);
	if (c->collectors.n && c->keys)
		sandbox_write(box, c->sets_dir);
	sandbox_read_beside(box, c->keys);
	sandbox_write_beside(box, c->json_path);
	if (c->metrics && strncmp(c->metrics, "unix:", 5) == 0)
		sandbox_write_beside(box, c->metrics + 5);
	for (size_t i = 0; i < c->collectors.n; i++)
		sandbox_connect(box, c->collectors.v[i]);
	sandbox_connect(box, ":53"); /* long answers of DNS */
	return sandbox_enter(box, e);
}

int confine_main(int argc, char **argv)
{
	if (argc == 1) {
		sandbox_describe(stdout);
		return EXIT_OK;
	}
	bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
	fputs("usage: picket sandbox\nPrints which system calls each of Picket's processes may make, as Markdown.\n",
	      help ? stdout : stderr);
	return help ? EXIT_OK : EXIT_USAGE;
}

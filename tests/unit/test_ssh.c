/* SSH banners and HASSH. The KEXINIT lists and their digests were computed with
 * `printf 'kex;enc;mac;comp' | md5sum`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/observed.h"

#include "sensor/parsers.h"

/* length 75 | padding 4 | KEXINIT | cookie | lists a b c d e f g h | two empty lists */
#define LIST(text) "\0\0\0\1" text
#define KEX                                                                                                            \
	"\0\0\0\x4b\4\x14"                                                                                             \
	"0123456789abcdef" LIST("a") LIST("b") LIST("c") LIST("d") LIST("e") LIST("f") LIST("g")                       \
	    LIST("h") "\0\0\0\0\0\0\0\0\0\0\0\0\0"                                                                     \
		      "pad!"

static const struct message talk[] = {
    {TO_CLIENT, BYTES("welcome to the machine\r\nSSH-2.0-OpenSSH_7.4 \0\0\r\n")},
    {TO_SERVER, BYTES("SSH-2.0-PuTTY_Release_0.70 comment\n" KEX)},
    {TO_CLIENT, BYTES(KEX)},
};

static void test_talk(void **s)
{
	(void)s;
	const char *want = "ssh.banner SSH-2.0-OpenSSH_7.4\n"
			   "ssh.banner SSH-2.0-PuTTY_Release_0.70 comment\n"
			   "ssh.hassh 1dcec95d22563622775f87b354bc5ccc\n"
			   "ssh.hassh_server 8a4b343520dc5c88e17701acb23cc2e0\n";
	feed_every_split(&parser_ssh, talk, 3, want);
	feed_every_prefix(&parser_ssh, talk, 3);
}

static void test_probe(void **s)
{
	(void)s;
	static const struct {
		const char *text;
		enum probe answer;
	} cases[] = {{"S", PROBE_MORE},         {"SSH-2.", PROBE_MORE},  {"SSH-2.0-x", PROBE_YES},
		     {"SSH-1.99-x", PROBE_YES}, {"SSH-9.0-x", PROBE_NO}, {"SMTP", PROBE_NO},
		     {"SSH2.0-xyz", PROBE_NO}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
		    parser_ssh.probe(NULL, TO_SERVER, (const uint8_t *)cases[i].text, strlen(cases[i].text)),
		    cases[i].answer);
}

/* Ended by limits: a line that never ends, too many lines, a packet too long. */
static void test_limits(void **s)
{
	(void)s;
	char line[600] = "SSH-2.0-";
	memset(line + 8, 'x', sizeof(line) - 8);
	char lines[200];
	memset(lines, '\n', sizeof(lines));
	const struct message bad[] = {
	    {TO_SERVER, line, sizeof(line)},
	    {TO_CLIENT, lines, sizeof(lines)},
	    {TO_SERVER, BYTES("SSH-2.0-x\r\n\0\1\0\0xxxx")},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct observed o;
		observed_begin(&o, &parser_ssh);
		feed_stream(&o, bad[i].side, bad[i].p, bad[i].n);
		assert_int_equal(o.verdict, INSPECT_ERROR);
		observed_end(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_talk),
	    cmocka_unit_test(test_probe),
	    cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Runs commands in turn, several rounds, and says what each costs: every command
 * once per round, so that whatever else the machine does meets all of them alike.
 *
 *   measure ROUNDS < LIST      LIST: a line for each, LABEL, a tab, the command
 *
 * prints LABEL, then the medians of processor seconds (user and system, children
 * included), of wall seconds, and of the largest resident set in KiB, with tabs. The
 * commands go to sh, their output to /dev/null. A command that fails (exit code
 * other than 0 and 5, which is Picket's "partial") ends it all. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS_MAX = 64, ROUNDS_MAX = 99, LINE_ROOM = 4096, EXIT_PARTIAL_READ = 5 };

struct command {
	char *label, *line;
	double cpu_s[ROUNDS_MAX], wall_s[ROUNDS_MAX], rss_kib[ROUNDS_MAX];
};

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void run_child(const char *line)
{
	int null = open("/dev/null", O_RDWR);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (!getenv("MEASURE_LOUD"))
		dup2(null, STDERR_FILENO);
	execl("/bin/sh", "sh", "-c", line, (char *)NULL);
	_exit(127);
}

static void run(struct command *c, int round)
{
	struct rusage used;
	int status = 0;
	double began = now_s();
	pid_t pid = fork();
	if (pid == 0)
		run_child(c->line);
	if (pid < 0 || wait4(pid, &status, 0, &used) != pid) {
		perror("measure");
		exit(1);
	}
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	if (code != 0 && code != EXIT_PARTIAL_READ) {
		fprintf(stderr, "measure: %s: exit code %d of: %s\n", c->label, code, c->line);
		exit(1);
	}
	c->wall_s[round] = now_s() - began;
	c->cpu_s[round] = seconds(used.ru_utime) + seconds(used.ru_stime);
	c->rss_kib[round] = (double)used.ru_maxrss;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static int read_list(struct command *list)
{
	char line[LINE_ROOM];
	int n = 0;
	while (n < COMMANDS_MAX && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		char *tab = strchr(line, '\t');
		if (!tab)
			continue;
		*tab = '\0';
		list[n].label = strdup(line);
		list[n++].line = strdup(tab + 1);
	}
	return n;
}

int main(int argc, char **argv)
{
	int rounds = argc == 2 ? atoi(argv[1]) : 0;
	if (rounds < 1 || rounds > ROUNDS_MAX) {
		fputs("usage: measure ROUNDS < LIST\n", stderr);
		return 2;
	}
	struct command *list = calloc(COMMANDS_MAX, sizeof(*list));
	int n = read_list(list);
	for (int round = 0; round < rounds; round++)
		for (int i = 0; i < n; i++)
			run(&list[i], round);
	for (int i = 0; i < n; i++) {
		printf("%s\t%.4f\t%.4f\t%.0f\n", list[i].label, median(list[i].cpu_s, rounds),
		       median(list[i].wall_s, rounds), median(list[i].rss_kib, rounds));
		free(list[i].label);
		free(list[i].line);
	}
	free(list);
	return 0;
}

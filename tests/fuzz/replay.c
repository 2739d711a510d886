/* Replays a fuzz target's corpus without the fuzzer: every file of the folders
 * named on the command line, and the empty input. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay_file(const char *path)
{
	struct stat st;
	if (stat(path, &st) || !S_ISREG(st.st_mode))
		return 0;
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc((size_t)st.st_size + 1); /* exact size: over-reads show under ASan */
	size_t n = f && data ? fread(data, 1, (size_t)st.st_size, f) : 0;
	uint8_t *exact = malloc(n ? n : 1);
	for (size_t i = 0; exact && i < n; i++)
		exact[i] = data[i];
	LLVMFuzzerTestOneInput(exact, n);
	free(exact);
	free(data);
	if (f)
		fclose(f);
	return 1;
}

int main(int argc, char **argv)
{
	unsigned long files = 0;
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++) {
		struct dirent **names;
		int n = scandir(argv[i], &names, NULL, alphasort);
		for (int k = 0; k < n; k++) {
			char path[4096];
			snprintf(path, sizeof(path), "%s/%s", argv[i], names[k]->d_name);
			files += (unsigned long)replay_file(path);
			free(names[k]);
		}
		if (n >= 0)
			free(names);
	}
	printf("%s: %lu inputs replayed\n", argv[0], files);
	return 0;
}

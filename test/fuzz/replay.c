/* T0 test support: run a fuzz target once on every file of some folders, without a fuzzer */
/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/*
 * Linked with one fuzz target:  replay FOLDER...
 *
 * Prints "N inputs replayed". A folder that cannot be read, or none with a file, is a failure, so a
 * seed corpus that has gone missing is noticed.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, size_t size)
{
	uint8_t *data = malloc(size + 1);
	FILE *f = fopen(path, "rb");
	int rc = -1;

	if (data != NULL && f != NULL && fread(data, 1, size, f) == size) {
		(void)LLVMFuzzerTestOneInput(data, size);
		rc = 0;
	} else {
		fprintf(stderr, "replay: cannot read %s\n", path);
	}
	if (f != NULL)
		fclose(f);
	free(data);
	return rc;
}

/* How many files, or -1. */
static long replay_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	long count = 0;

	if (dir == NULL) {
		perror(folder);
		return -1;
	}
	while (count >= 0 && (entry = readdir(dir)) != NULL) {
		char path[4096];
		struct stat st;
		int len = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);

		if (len < 0 || (size_t)len >= sizeof path || stat(path, &st) != 0)
			count = -1;
		else if (S_ISREG(st.st_mode))
			count = replay_file(path, (size_t)st.st_size) == 0 ? count + 1 : -1;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	long total = 0;

	for (int i = 1; i < argc; i++) {
		long count = replay_folder(argv[i]);

		if (count < 0)
			return EXIT_FAILURE;
		total += count;
	}
	printf("%ld inputs replayed\n", total);
	return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/*
 * ratio FLOOR PROGRAM DOCUMENT ROUNDS: how many times as long PROGRAM takes as FLOOR, from vfork to
 * wait, when both are given DOCUMENT on standard input. The two alternate within one process, so that
 * whatever else the machine does weighs on both; the median of the paired ratios is printed, and the
 * peak memory of PROGRAM in KiB.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long peak;

static double run(char *program, int document, int null, char **env)
{
	struct timespec a, b;
	struct rusage used;
	posix_spawn_file_actions_t actions;
	char *argv[] = { program, NULL };
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, document, 0);
	posix_spawn_file_actions_adddup2(&actions, null, 1);
	lseek(document, 0, SEEK_SET);
	clock_gettime(CLOCK_MONOTONIC, &a);
	if (posix_spawn(&pid, program, &actions, NULL, argv, env) != 0 || wait4(pid, &status, 0, &used) != pid
	    || status != 0) {
		fprintf(stderr, "ratio: '%s' did not run\n", program);
		exit(1);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	posix_spawn_file_actions_destroy(&actions);
	peak = used.ru_maxrss;
	return (b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv, char **env)
{
	int rounds = argc == 5 ? atoi(argv[4]) : 0, i;
	int document = rounds > 0 ? open(argv[3], O_RDONLY) : -1, null = open("/dev/null", O_WRONLY);
	double *ratio = calloc(rounds > 0 ? rounds : 1, sizeof *ratio);

	if (document < 0 || null < 0 || ratio == NULL) {
		fprintf(stderr, "usage: ratio FLOOR PROGRAM DOCUMENT ROUNDS\n");
		return 2;
	}
	for (i = 0; i < rounds; i++) {
		double floor = run(argv[1], document, null, env);
		ratio[i] = run(argv[2], document, null, env) / floor;
	}
	qsort(ratio, rounds, sizeof *ratio, ascending);
	printf("%.2f %ld\n", ratio[rounds / 2], peak);
	return 0;
}

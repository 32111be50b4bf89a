/* msigd(8): options, the configuration, going into the background. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/log_journal.h"
#include "supervisor/store_integrity.h"
#include "supervisor/supervisor.h"

static const char default_path[] = MSIGD_SYSCONFDIR "/msigd.conf";

struct options {
	bool foreground, check_only, verbose;
	const char *path;      /* NULL: there is no file, the defaults hold */
};

static void
usage(FILE *out)
{
	fprintf(out,
	    "usage: msigd [-dnvV] [-f file]\n"
	    "  -d       stay in the foreground, log to standard error\n"
	    "  -n       check the configuration only\n"
	    "  -v       log at level debug\n"
	    "  -V       print the version\n"
	    "  -f file  the configuration (%s; without it the defaults hold)\n", default_path);
}

static void
take_options(int argc, char *argv[], struct options *o)
{
	int c;

	*o = (struct options){.path = access(default_path, F_OK) == 0 ? default_path : NULL};
	if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		usage(stdout);
		exit(0);
	}
	while ((c = getopt(argc, argv, "dnvVf:")) != -1) {
		switch (c) {
		case 'd':
			o->foreground = true;
			break;
		case 'n':
			o->check_only = true;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'V':
			printf("msigd %s\n", MSIGD_VERSION);
			exit(0);
		case 'f':
			o->path = optarg;
			break;
		default:
			usage(stderr);
			exit(2);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "msigd: unexpected argument \"%s\"\n", argv[optind]);
		usage(stderr);
		exit(2);
	}
}

/* A relative path would be another one once we are in /. */
static char *
absolute(const char *path)
{
	char *real = path != NULL ? realpath(path, NULL) : NULL;

	return real != NULL || path == NULL ? real : strdup(path);
}

/* In the parent: waits until the daemon answers, and ends as it says. */
static _Noreturn void
wait_for_daemon(int fd)
{
	char status = 1;

	/* nothing: it died, and has said why */
	if (read(fd, &status, 1) != 1)
		exit(1);
	exit(status);
}

/* Returns, in the daemon, the descriptor at which the parent waits. */
static int
go_into_background(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) == -1 || (pid = fork()) == -1) {
		fprintf(stderr, "msigd: %s\n", strerror(errno));
		exit(1);
	}
	if (pid != 0) {
		close(fds[1]);
		wait_for_daemon(fds[0]);
	}
	close(fds[0]);
	setsid();
	return fds[1];
}

/* From here on nothing goes to the terminal. */
static void
leave_terminal(int parent)
{
	int null = open("/dev/null", O_RDWR);
	char status = 0;

	for (int fd = 0; null != -1 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(parent, &status, 1) == -1)
		(void)0;
	close(parent);
}

/* In the foreground, systemd may have made standard error the journal. */
static enum log_target
log_target_of(const struct options *o)
{
	if (!o->foreground)
		return LOG_TARGET_SYSLOG;
	return log_journal_take(LOG_JOURNAL_SOCKET) ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR;
}

static struct config *
load(const struct options *o)
{
	char *error = NULL;
	struct config *config = config_load(o->path, &error);

	if (config == NULL) {
		fprintf(stderr, "%s%s", error != NULL ? error : "msigd: out of memory",
		    error != NULL && error[0] != '\0' && error[strlen(error) - 1] == '\n' ? "" : "\n");
		free(error);
		exit(1);
	}
	return config;
}

int
main(int argc, char *argv[])
{
	struct supervisor sv = {0};
	struct options options;
	struct config *config;
	char *path;
	int parent = -1;

	/* not for people: msigd starts itself so (check.c) */
	if (argc == 2 && strcmp(argv[1], STORE_INTEGRITY_OPTION) == 0)
		return store_integrity_main();
	take_options(argc, argv, &options);
	if (sodium_init() == -1)
		return 1;
	config = load(&options);
	if (options.check_only) {
		printf("%s: good\n", options.path != NULL ? options.path : "the defaults");
		config_free(config);
		return 0;
	}
	path = absolute(options.path);
	prctl(PR_SET_DUMPABLE, 0);
	if (!options.foreground)
		parent = go_into_background();
	log_open("msigd", log_target_of(&options), NULL);
	if (chdir("/") == -1 || !supervisor_init(&sv, config, path, options.verbose)) {
		supervisor_end(&sv);
		return 1;
	}
	if (parent != -1)
		leave_terminal(parent);
	supervisor_run(&sv);
	supervisor_end(&sv);
	free(path);
	return 0;
}

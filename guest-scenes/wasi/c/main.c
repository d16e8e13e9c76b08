// A program of the C library alone, built for WASI 0.1 and adapted to 0.2: it prints what WASI gives it, one `name: value` a line.
//
// Tests read its lines; it must not decide what is right. The C library of WASI 0.1 has no function that makes a socket.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static const char *outcome(int failed) { return failed ? strerror(errno) : "ok"; }

static long long now_us(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) return -1;
    return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

int main(int argc, char **argv) {
    (void)argv;
    printf("arguments: %d\n", argc);
    int variables = 0;
    while (environ != NULL && environ[variables] != NULL) variables++;
    printf("environment: %d\n", variables);

    printf("open: %s\n", outcome(open("/etc/passwd", O_RDONLY) < 0));
    printf("create: %s\n", outcome(fopen("scene.txt", "w") == NULL));
    printf("list: %s\n", outcome(opendir("/") == NULL));

    char byte;
    printf("stdin: %d\n", (int)read(STDIN_FILENO, &byte, 1));

    long long before = now_us(CLOCK_MONOTONIC);
    struct timespec nap = {.tv_nsec = 20 * 1000 * 1000};
    nanosleep(&nap, NULL);
    printf("slept: %lld\n", now_us(CLOCK_MONOTONIC) - before);
    printf("date: %lld\n", now_us(CLOCK_REALTIME) / 1000000);

    unsigned char random[8];
    printf("random: ");
    if (getentropy(random, sizeof random) == 0) {
        for (size_t i = 0; i < sizeof random; i++) printf("%02x", random[i]);
    }
    printf("\n");

    fprintf(stderr, "error output: \x1b[31mred\n");
    printf("unfinished");
    return 0;
}

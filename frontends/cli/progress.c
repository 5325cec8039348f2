// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A thread, not a timer signal: signals would interrupt the library's system calls. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "progress.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake;
static pthread_t thread;
static bool running, over;

static void *run(void *arg)
{
    const char *what = arg;
    struct timespec next;
    int seconds = 0;

    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&lock);
    while (!over) {
        next.tv_sec++;
        while (!over && !pthread_cond_timedwait(&wake, &lock, &next))
            ;
        if (!over)
            fprintf(stderr, "\r%s ... %d s", what, ++seconds);
    }
    if (seconds)
        fputs("\r\033[K", stderr);
    pthread_mutex_unlock(&lock);
    return NULL;
}

void progress_start(const char *what)
{
    pthread_condattr_t attr;

    if (!isatty(STDERR_FILENO))
        return;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&wake, &attr);
    pthread_condattr_destroy(&attr);
    over = false;
    running = !pthread_create(&thread, NULL, run, (void *)(size_t)what);
}

void progress_stop(void)
{
    if (!running)
        return;
    pthread_mutex_lock(&lock);
    over = true;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    running = false;
}

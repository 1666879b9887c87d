/* The floor: open, read and close the files that a list names, and nothing else.
 *
 *   floor ROOT LIST root      every file by its path from the root's descriptor
 *   floor ROOT LIST held      every file from the descriptor of the directory named next to it, opened once a round
 *
 * A line of the list is a directory, a tab, and a path below it. Files of procfs are read to their end, because a read
 * of those may be short anywhere; one of sysfs is whole when it is not a multiple of a page. */
#define _GNU_SOURCE
#include "rounds.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 65536, PAGE = 4096, DIRECTORIES = 64 };

struct file {
    const char *path;
    int directory;
    int to_end;
};

static struct file *files;
static size_t count;
static const char *directories[DIRECTORIES];
static int directory_count;
static const char *root_path;
static int held;
static char room[ROOM];

static int directory_of(const char *name)
{
    for (int i = 0; i < directory_count; i++)
        if (strcmp(directories[i], name) == 0)
            return i;
    if (directory_count == DIRECTORIES) {
        fprintf(stderr, "more than %d directories\n", DIRECTORIES);
        exit(1);
    }
    directories[directory_count] = name;
    return directory_count++;
}

static void load(const char *list)
{
    FILE *stream = fopen(list, "r");
    char *line = NULL;
    size_t size = 0;
    if (!stream)
        fail(list);
    while (getline(&line, &size, stream) > 0) {
        char *directory = strdup(strtok(line, "\t\n"));
        char *path = strtok(NULL, "\n");
        char *whole = malloc(strlen(directory) + strlen(path) + 2);
        sprintf(whole, "%s/%s", directory, path);
        files = realloc(files, (count + 1) * sizeof *files);
        files[count].to_end = strncmp(whole, "proc/", 5) == 0;
        files[count].directory = held ? directory_of(directory) : -1;
        files[count].path = held ? strdup(path) : whole;
        count++;
    }
    free(line);
    fclose(stream);
}

static void once(void)
{
    int open_directories[DIRECTORIES];
    int root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < directory_count; i++)
        open_directories[i] = openat(root, directories[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < count; i++) {
        int at = held ? open_directories[files[i].directory] : root;
        int fd = openat(at, files[i].path, O_RDONLY | O_CLOEXEC);
        ssize_t got;
        if (fd < 0)
            fail(files[i].path);
        do {
            got = read(fd, room, ROOM);
            if (got < 0)
                fail(files[i].path);
        } while (got > 0 && (files[i].to_end || got % PAGE == 0));
        close(fd);
    }
    for (int i = 0; i < directory_count; i++)
        close(open_directories[i]);
    close(root);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "floor ROOT LIST root|held\n");
        return 2;
    }
    root_path = argv[1];
    held = strcmp(argv[3], "held") == 0;
    load(argv[2]);
    once();
    printf("%zu\n", count);
    fflush(stdout);
    answer_rounds(once);
    return 0;
}

#include "cli/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Ends the program: it has read a page of the file that no longer exists. */
static void on_cut(int signal)
{
    static const char message[] =
        "rma-coordinator: the file was cut short while it was read; run it again with a whole one, that completes it\n";
    (void)signal;
    _exit(write(STDERR_FILENO, message, sizeof(message) - 1) > 0 ? 1 : 2);
}

/* Copies the content of `fd` to a temporary file without a name, which it returns, or -1 on an error. Closes `fd`. */
static int copy_to_temporary(int fd)
{
    char room[65536];
    FILE *copy = tmpfile();
    ssize_t got = 0;
    while (copy != NULL && (got = read(fd, room, sizeof(room))) > 0)
        if (fwrite(room, 1, (size_t)got, copy) != (size_t)got)
            break;
    bool is_whole = copy != NULL && got == 0 && fflush(copy) == 0;
    int copied = is_whole ? dup(fileno(copy)) : -1, cause = errno;
    if (copy != NULL)
        fclose(copy);
    close(fd);
    errno = cause;
    return copied;
}

enum err mapped_file_open(const char *path, struct mapped_file *file)
{
    struct stat status;
    *file = (struct mapped_file){.text = STR("")};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd != -1 && fstat(fd, &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
        fd = copy_to_temporary(fd);
    if (fd == -1 || fstat(fd, &status) != 0)
        return ERR_INVALID;
    if (S_ISDIR(status.st_mode)) {
        close(fd);
        errno = EISDIR;
        return ERR_INVALID;
    }
    void *mapped = status.st_size > 0 ? mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    int cause = errno;
    close(fd);
    errno = cause;
    if (mapped == MAP_FAILED)
        return ERR_INVALID;
    if (mapped != NULL) {
        (void)madvise(mapped, (size_t)status.st_size, MADV_SEQUENTIAL);
        signal(SIGBUS, on_cut);
        file->text = (struct str){mapped, (size_t)status.st_size};
    }
    return ERR_NONE;
}

void mapped_file_close(struct mapped_file *file)
{
    if (file->text.len > 0) {
        munmap((void *)file->text.ptr, file->text.len);
        signal(SIGBUS, SIG_DFL);
    }
    file->text = STR("");
}

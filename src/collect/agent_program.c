/* SPDX-License-Identifier: MIT */
/* What the agent can be preloaded into; see agent_program.h. */
#include "collect/agent_program.h"

#include "base/cleanup.h"
#include "elf/elf_file.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define AGENT_OBJECT "libretour-agent.so"

enum { MAX_SCRIPTS = 4, MAX_HEADERS = 128 };

/* The path execvp() would run; NULL if it would find none. */
static char *find_command(const char *command)
{
	const char *list = getenv("PATH"), *at = list ? list : "/bin:/usr/bin";
	char *path = NULL;

	if (strchr(command, '/'))
		return strdup(command);
	for (;;) {
		size_t n = strcspn(at, ":");

		if (asprintf(&path, "%.*s%s%s", (int)n, at, n ? "/" : "", command) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
		if (!at[n])
			return NULL;
		at += n + 1;
	}
}

/* The interpreter of a script, in its first line; false if it is none. */
static bool script_interpreter(int fd, char *ret, size_t size)
{
	ssize_t n = pread(fd, ret, size - 1, 0);
	size_t skip;

	if (n < 3 || ret[0] != '#' || ret[1] != '!')
		return false;
	ret[n] = '\0';
	skip = 2 + strspn(ret + 2, " \t");
	memmove(ret, ret + skip, n + 1 - skip);
	ret[strcspn(ret, " \t\r\n")] = '\0';
	return ret[0] != '\0';
}

/* Does the loader clean the environment, because the program's rights are not the caller's? */
static bool gains_rights(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return false;
	return (st.st_mode & S_ISUID && st.st_uid != geteuid()) || (st.st_mode & S_ISGID && st.st_gid != getegid()) ||
	       (geteuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0);
}

static bool read_interpreter(int fd, const Elf64_Ehdr *header, char *ret, size_t size)
{
	for (unsigned int i = 0; i < header->e_phnum && i < MAX_HEADERS; i++) {
		Elf64_Phdr segment;
		ssize_t n;

		if (pread(fd, &segment, sizeof(segment), (off_t)(header->e_phoff + i * sizeof(segment))) !=
		    sizeof(segment))
			return false;
		if (segment.p_type != PT_INTERP)
			continue;
		n = pread(fd, ret, segment.p_filesz < size ? segment.p_filesz : size - 1, (off_t)segment.p_offset);
		ret[n > 0 ? n : 0] = '\0';
		return true;
	}
	return false;
}

bool agent_program_has_tracepoints(const char *path)
{
	struct elf_file *file = NULL;
	struct elf_section section;
	struct error *err = elf_file_open(path, &file);
	bool found = !err && elf_file_section(file, "retour_tracepoints", &section);

	elf_file_close(file);
	error_free(err);
	return found;
}

static struct error *check_elf(int fd, const char *path)
{
	static const char other_backend[] = "(remedy: the rights for another backend, see retour doctor)";
	char own[256] = "", interpreter[256] = "";
	_cleanup_close_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	Elf64_Ehdr header, own_header;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header) || memcmp(header.e_ident, ELFMAG, SELFMAG))
		return NULL;
	if (header.e_ident[EI_CLASS] != ELFCLASS64)
		return error_new(EOPNOTSUPP, "the agent cannot be preloaded into %s, a 32-bit program %s", path,
				 other_backend);
	/* Of those that are linked statically the ones with libretour have an agent in themselves. */
	if (!read_interpreter(fd, &header, interpreter, sizeof(interpreter)) && !agent_program_has_tracepoints(path))
		return error_new(EOPNOTSUPP, "the agent cannot be preloaded into %s, which is linked statically %s",
				 path, other_backend);
	if (gains_rights(fd))
		return error_new(EOPNOTSUPP, "the agent cannot be preloaded into %s, which runs with other rights than "
				 "yours (setuid, setgid or capabilities) %s", path, other_backend);
	if (!*interpreter || self < 0 || pread(self, &own_header, sizeof(own_header), 0) != sizeof(own_header) ||
	    !read_interpreter(self, &own_header, own, sizeof(own)))
		return NULL;
	if (strcmp(basename(own), basename(interpreter)))
		return error_new(EOPNOTSUPP, "the agent cannot be preloaded into %s, which is made for another C "
				 "library (%s) %s", path, interpreter, other_backend);
	return NULL;
}

/* The program that runs a command, a script's being its interpreter; -1 and errno: it is not found or not readable. */
static int open_program(const char *command, char **path)
{
	char interpreter[256];

	*path = find_command(command);
	for (int i = 0; *path && i < MAX_SCRIPTS; i++) {
		_cleanup_close_ int fd = open(*path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

		if (fd < 0 || !script_interpreter(fd, interpreter, sizeof(interpreter)))
			return steal_fd(&fd);
		free(*path);
		*path = strdup(interpreter);
	}
	errno = ENOENT;
	return -1;
}

struct error *agent_program_check(const char *command)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = open_program(command, &path);

	return fd < 0 ? NULL : check_elf(fd, path);
}

bool agent_program_gains_rights(const char *command)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = open_program(command, &path);

	if (fd < 0)
		return errno == EACCES && access(path, X_OK) == 0;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 && gains_rights(fd);
}

struct error *agent_object_find(char **ret)
{
	/* From the program on: what was installed may lie in another root, or have been moved. */
	static const char *const places[] = { "", "src/runtime/", RETOUR_LIBDIR_FROM_BIN "/retour/" };
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *path;

	self[n > 0 ? n : 0] = '\0';
	if (strrchr(self, '/'))
		strrchr(self, '/')[1] = '\0';
	for (size_t i = 0; i <= sizeof(places) / sizeof(places[0]); i++) {
		bool installed = i == sizeof(places) / sizeof(places[0]);

		if (asprintf(&path, "%s%s" AGENT_OBJECT, installed ? RETOUR_LIBDIR "/retour/" : self,
			     installed ? "" : places[i]) < 0)
			return error_nomem();
		if (access(path, R_OK) == 0) {
			*ret = path;
			return NULL;
		}
		free(path);
	}
	return error_new(EOPNOTSUPP, AGENT_OBJECT " is neither beside this program nor in " RETOUR_LIBDIR "/retour");
}

/* $LIB is a folder, or one in one, or a link to that; above the root there is the root. */
#define EXPANDED "/$LIB/../../../../../../../.."

/* Does our loader find a file by such a path?  libc is loaded already, so nothing new is. */
static bool loader_expands(void)
{
	_cleanup_free_ char *path = NULL;
	void *libc;
	Dl_info info;

	if (!dladdr(dlsym(RTLD_DEFAULT, "strlen"), &info) || info.dli_fname[0] != '/' ||
	    asprintf(&path, EXPANDED "%s", info.dli_fname) < 0)
		return false;
	libc = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	if (libc)
		dlclose(libc);
	return libc != NULL;
}

struct error *agent_program_preload(const char *object, const char *others, char **ret)
{
	if (strpbrk(object, " :"))
		return error_new(EOPNOTSUPP, "the path %s cannot be preloaded: it has a space or a colon", object);
	if (asprintf(ret, "%s%s%s%s", loader_expands() ? EXPANDED : "", object, others && *others ? ":" : "",
		     others ? others : "") < 0)
		return error_nomem();
	return NULL;
}

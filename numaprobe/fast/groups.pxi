# ---- Groups of cpus: the files of each group's first cpu only, read and scanned in one call ----

cdef extern from "<stdio.h>":
    int snprintf(char *into, size_t size, const char *format, ...) nogil


cdef enum:
    # A list of every possible id, each listed singly, is far longer; such a file is read in the ordinary way.
    GROUP_ROOM = 4096
    GROUP_PATH = 128
    # Numbers that are read of one group.
    GROUP_NUMBERS = 4


cdef struct Group:
    unsigned int leader
    # Members in the column of all members.
    size_t start
    size_t count
    int64_t numbers[GROUP_NUMBERS]


cdef ssize_t read_small(int directory, const char *path, uint64_t resolve, bint regular, char *room) noexcept nogil:
    """Bytes of a file that is a line shorter than the room, as all of these are; -1 for anything else.

    pread(2) alone refuses pipes, sockets and terminals. What else is no regular file gives no line of ids, and is then
    refused by the walk: that spares an fstat for each of thousands of files.
    """
    cdef int fd = open_retrying(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, resolve)
    cdef ssize_t got
    if fd < 0:
        return -1
    got = pread_fd(fd, room, GROUP_ROOM, 0) if regular else read_fd(fd, room, GROUP_ROOM)
    close_fd(fd)
    return got if 0 < got < GROUP_ROOM and room[got - 1] == c"\n" else -1


cdef bint scan_signed(const char *at, const char *end, int64_t *value) noexcept nogil:
    """Whether the text is one number of at most 31 bits, or -1, and a newline."""
    cdef Text text
    cdef uint64_t number
    cdef bint negative = at[0] == c"-"
    text.at = at + negative
    text.end = end
    if not scan_decimal(&text, &number) or text.at + 1 != end or text.at[0] != c"\n":
        return False
    if number > 0x7FFFFFFF or (negative and number != 1):
        return False
    value[0] = -<int64_t>number if negative else <int64_t>number
    return True


cdef bint scan_members(const char *at, const char *end, unsigned char *states, size_t states_count,
                       Buffer *column) noexcept nogil:
    """Mark the online ids of a list and append them; False for anything but ascending ids of which none is marked.

    A state is 0 for an id that is not online, 1 for one that is, 2 for one that is marked.
    """
    cdef Text text
    cdef uint64_t first, last, following = 0
    cdef unsigned int member
    text.at = at
    text.end = end
    while True:
        if not scan_decimal(&text, &first):
            return False
        last = first
        if text.at[0] == c"-":
            text.at += 1
            if not scan_decimal(&text, &last):
                return False
        if last < first or last > MAX_ID or first < following:
            return False
        following = last + 1
        while first <= last and first < states_count:
            if states[first] == 2:
                return False
            if states[first] == 1:
                states[first] = 2
                member = <unsigned int>first
                if room_for(column, sizeof(member)):
                    return False
                memcpy(column.data + column.used, &member, sizeof(member))
                column.used += sizeof(member)
            first += 1
        if text.at[0] == c"\n":
            return text.at + 1 == end
        if text.at[0] != c",":
            return False
        text.at += 1


cdef struct GroupFiles:
    # NULL: each cpu is a group of its own.
    const char *list
    const char *numbers[GROUP_NUMBERS]
    int count
    # Where answers are kept, if they are, and the position of the directory among those there.
    Buffer *seen
    int base


cdef ssize_t read_group_file(int directory, const char *path, uint64_t resolve, bint regular, GroupFiles *files,
                             char *room) noexcept nogil:
    cdef ssize_t got = read_small(directory, path, resolve, regular, room)
    if got > 0 and files.seen != NULL and see(files.seen, SEEN_FILE, files.base, path, b"", room, <size_t>got, 0):
        return -1
    return got


cdef bint read_groups(int directory, uint64_t resolve, bint regular, GroupFiles *files, unsigned char *states,
                      size_t states_count, Buffer *groups, Buffer *column) noexcept nogil:
    """The groups of all online cpus; False where a file is not as expected."""
    cdef char path[GROUP_PATH]
    cdef char room[GROUP_ROOM]
    cdef ssize_t got
    cdef size_t cpu
    cdef int i, prefix
    cdef Group group
    for cpu in range(states_count):
        if states[cpu] != 1:
            continue
        group.leader = <unsigned int>cpu
        group.start = column.used // sizeof(unsigned int)
        prefix = snprintf(path, GROUP_PATH, b"cpu%u/", group.leader)
        if files.list != NULL:
            strcpy(path + prefix, files.list)
            got = read_group_file(directory, path, resolve, regular, files, room)
            if got <= 0 or not scan_members(room, room + got, states, states_count, column) or states[cpu] != 2:
                return False
        group.count = column.used // sizeof(unsigned int) - group.start
        for i in range(files.count):
            strcpy(path + prefix, files.numbers[i])
            got = read_group_file(directory, path, resolve, regular, files, room)
            if got <= 0 or not scan_signed(room, room + got, &group.numbers[i]):
                return False
        if room_for(groups, sizeof(group)):
            return False
        memcpy(groups.data + groups.used, &group, sizeof(group))
        groups.used += sizeof(group)
    return True


cdef tuple groups_to_dicts(Buffer *groups, Buffer *column, bint listed, int numbers):
    """Members by cpu, and for each of the numbers that number by cpu; None for -1."""
    cdef dict members_of = {}
    cdef list by_number = [{} for _ in range(numbers)]
    cdef dict values
    cdef Group group
    cdef unsigned int member
    cdef size_t at, i
    cdef int n
    cdef object cpu, value
    cdef list cpus, found
    for at in range(0, groups.used, sizeof(group)):
        memcpy(&group, groups.data + at, sizeof(group))
        cpus = []
        if not listed:
            cpus.append(group.leader)
        for i in range(group.start, group.start + group.count):
            memcpy(&member, column.data + i * sizeof(member), sizeof(member))
            cpus.append(member)
        members = tuple(cpus)
        PyObject_GC_UnTrack(members)
        for cpu in cpus:
            members_of[cpu] = members
        for n in range(numbers):
            value = None if group.numbers[n] < 0 else group.numbers[n]
            values = by_number[n]
            for cpu in cpus:
                values[cpu] = value
    return members_of, by_number


cdef object groups_of(int directory, uint64_t resolve, bint regular, tuple online, bytes members, list numbers,
                      Seen seen, str base):
    """Members by cpu and numbers by cpu; None where anything is unusual."""
    cdef size_t states_count, longest
    cdef unsigned char *states
    cdef Buffer groups, column
    cdef GroupFiles files
    cdef bytes name
    cdef bint good
    files.list = NULL if members is None else PyBytes_AS_STRING(members)
    files.count = <int>min(len(numbers), GROUP_NUMBERS)
    files.seen = NULL if seen is None else &seen.buffer
    files.base = 0 if seen is None else seen.base_of(base)
    longest = 0 if members is None else strlen(files.list)
    for i, name in enumerate(numbers[:GROUP_NUMBERS]):
        files.numbers[<int>i] = PyBytes_AS_STRING(name)
        longest = max(longest, strlen(files.numbers[<int>i]))
    if not online or longest + 16 > GROUP_PATH or len(numbers) > GROUP_NUMBERS:
        return None
    if not 0 <= <object>online[len(online) - 1] <= MAX_ID:
        return None
    states_count = <size_t>online[len(online) - 1] + 1
    states = <unsigned char *>malloc(states_count)
    groups.used = column.used = 0
    groups.size = column.size = PAGE
    groups.data = <char *>malloc(groups.size)
    column.data = <char *>malloc(column.size)
    try:
        if states == NULL or groups.data == NULL or column.data == NULL:
            raise MemoryError()
        memset(states, 0, states_count)
        for cpu in online:
            if not 0 <= cpu < states_count:
                return None
            states[<size_t>cpu] = 1
        with nogil:
            good = read_groups(directory, resolve, regular, &files, states, states_count, &groups, &column)
        return groups_to_dicts(&groups, &column, members is not None, files.count) if good else None
    finally:
        free(states)
        free(groups.data)
        free(column.data)

# ---- Who holds memory: /proc/PID/numa_maps, whose lines may be thousands ----

cdef enum:
    # Linux's MAX_NUMNODES is 1 << NODES_SHIFT, at most 10 (mm/Kconfig and the architectures').
    MAX_NODES = 1024
    # 16 GiB, the largest page of any architecture (powerpc).
    MAX_PAGE_KB = 1 << 24


cdef inline bint number_after(Text *token, const char *key, Py_ssize_t length, uint64_t *value) noexcept nogil:
    """Whether the token is this key and a number; the number is then taken."""
    if token.end - token.at <= length or memcmp(token.at, key, <size_t>length) != 0:
        return False
    token.at += length
    return scan_decimal(token, value) and token.at == token.end


cdef bint scan_hexadecimal(Text *text, uint64_t *value) noexcept nogil:
    """Take hexadecimal digits; False if there are none or they exceed 64 bits."""
    cdef const char *start = text.at
    cdef uint64_t total = 0
    cdef int digit
    while text.at < text.end:
        digit = hex_value(text.at[0])
        if digit < 0:
            break
        if total >> 60:
            return False
        total = total << 4 | <uint64_t>digit
        text.at += 1
    value[0] = total
    return text.at > start


def numa_maps(bytes content not None):
    """Scan ``/proc/PID/numa_maps``: mappings of anonymous pages alone, and each mapping that has pages of a file.

    The first is a tuple of pairs (node, kB), by node. The second is a list of tuples (address, file, huge, page size
    in kB, anonymous pages, pairs of node and pages); the file is ``bytes`` as the kernel writes it, with blanks as
    octal numbers, and ``huge`` says that the pages are of hugetlb.
    """
    cdef const char *at = PyBytes_AS_STRING(content)
    cdef const char *end = at + PyBytes_GET_SIZE(content)
    cdef const char *stop
    cdef const char *file
    cdef Py_ssize_t file_length
    cdef Text line, token
    cdef uint64_t address, value, node, anon, page_kb
    cdef uint64_t plain[MAX_NODES]
    cdef uint64_t nodes[MAX_NODES]
    cdef uint64_t pages[MAX_NODES]
    cdef Py_ssize_t count, i, last = -1
    cdef bint huge
    cdef list placed, files = []
    memset(plain, 0, sizeof(plain))
    while at < end:
        stop = line_end(at, end)
        line.at = at
        line.end = stop
        at = stop + 1
        if line.at == line.end:
            continue
        if not scan_hexadecimal(&line, &address):
            raise ValueError("a line without an address")
        file = NULL
        file_length = 0
        huge = False
        anon = page_kb = 0
        count = 0
        while line.at < line.end:
            while line.at < line.end and line.at[0] == c" ":
                line.at += 1
            token.at = line.at
            while line.at < line.end and line.at[0] != c" ":
                line.at += 1
            token.end = line.at
            if token.at == token.end:
                continue
            if token.at[0] == c"N":
                token.at += 1
                if not scan_decimal(&token, &node) or token.at == token.end or token.at[0] != c"=":
                    raise ValueError("a node without a number")
                token.at += 1
                if not scan_decimal(&token, &value) or token.at != token.end:
                    raise ValueError("a node without a number of pages")
                if node >= MAX_NODES or count == MAX_NODES:
                    raise ValueError(f"more than {MAX_NODES} nodes")
                nodes[count] = node
                pages[count] = value
                count += 1
            elif token.at[0] == c"f" and token.end - token.at > 5 and memcmp(token.at, b"file=", 5) == 0:
                file = token.at + 5
                file_length = token.end - file
            elif token.end - token.at == 4 and memcmp(token.at, b"huge", 4) == 0:
                huge = True
            elif token.end - token.at >= 5 and memcmp(token.at, b"anon=", 5) == 0:
                if not number_after(&token, b"anon=", 5, &anon):
                    raise ValueError("anonymous pages without a number")
            elif number_after(&token, b"kernelpagesize_kB=", 18, &value):
                page_kb = value
        if count == 0:
            continue
        if page_kb == 0 or page_kb > MAX_PAGE_KB:
            raise ValueError("pages without a possible size")
        value = 0
        for i in range(count):
            # No product of both exceeds 64 bits.
            if pages[i] * page_kb >> 46 or pages[i] >> 40:
                raise ValueError("more pages than can be")
            value += pages[i]
        if anon > value:
            raise ValueError("more anonymous pages than pages")
        if file == NULL or anon >= value:
            for i in range(count):
                plain[nodes[i]] += pages[i] * page_kb
                last = max(last, <Py_ssize_t>nodes[i])
        else:
            placed = []
            for i in range(count):
                placed.append((nodes[i], pages[i]))
            files.append((address, PyBytes_FromStringAndSize(file, file_length), huge, page_kb, anon, tuple(placed)))
    placed = []
    for i in range(last + 1):
        if plain[i]:
            placed.append((i, plain[i]))
    return tuple(placed), files

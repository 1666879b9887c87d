# ---- Scanners of kernel text: they raise ValueError with the reason; whoever knows the file's name adds it ----

# Larger than any kernel's NR_CPUS or MAX_NUMNODES, small enough that a hostile file cannot ask for much memory.
cdef enum:
    MAX_ID = (1 << 16) - 1


cdef struct Text:
    const char *at
    const char *end


cdef inline bint is_blank(char c) noexcept nogil:
    return c == c" " or c == c"\t" or c == c"\n" or c == c"\r" or c == 0


cdef Text trimmed(bytes content) noexcept:
    """The content without white space around it, and without the NUL bytes that some recordings end in."""
    cdef Text text
    text.at = PyBytes_AS_STRING(content)
    text.end = text.at + PyBytes_GET_SIZE(content)
    while text.end > text.at and is_blank((text.end - 1)[0]):
        text.end -= 1
    while text.at < text.end and is_blank(text.at[0]):
        text.at += 1
    return text


cdef bint scan_decimal(Text *text, uint64_t *value) noexcept nogil:
    """Take decimal digits; False if there are none or they exceed 64 bits."""
    cdef const char *start = text.at
    cdef uint64_t total = 0
    cdef unsigned int digit
    while text.at < text.end:
        digit = <unsigned int>(<unsigned char>text.at[0]) - c"0"
        if digit > 9:
            break
        if total > (<uint64_t>-1 - digit) // 10:
            return False
        total = total * 10 + digit
        text.at += 1
    value[0] = total
    return text.at > start


def ids(bytes content not None):
    """Scan the kernel's list format (``0-3,8,10-11``) into an ascending tuple of ``int``; nothing is ``()``."""
    cdef Text text = trimmed(content)
    cdef uint64_t first, last, i
    cdef list out = []
    cdef bint ascending = True
    cdef object previous = -1
    if text.at == text.end:
        return ()
    while True:
        if not scan_decimal(&text, &first):
            raise ValueError("not a list of ids")
        last = first
        if text.at < text.end and text.at[0] == c"-":
            text.at += 1
            if not scan_decimal(&text, &last):
                raise ValueError("a range without an end")
        if last < first:
            raise ValueError("a range that ends before it begins")
        if last > MAX_ID:
            raise ValueError(f"an id above {MAX_ID}")
        if len(out) + <Py_ssize_t>(last - first) > MAX_ID:
            raise ValueError("more ids than can be")
        if first <= previous:
            ascending = False
        for i in range(first, last + 1):
            out.append(i)
        previous = last
        while text.at < text.end and is_blank(text.at[0]):
            text.at += 1
        if text.at == text.end:
            break
        if text.at[0] != c",":
            raise ValueError("not a list of ids")
        text.at += 1
        while text.at < text.end and is_blank(text.at[0]):
            text.at += 1
    return tuple(out) if ascending else tuple(sorted(set(out)))


cdef int hex_value(char c) noexcept nogil:
    if c"0" <= c <= c"9":
        return c - c"0"
    if c"a" <= c <= c"f":
        return c - c"a" + 10
    if c"A" <= c <= c"F":
        return c - c"A" + 10
    return -1


def mask(bytes content not None):
    """Scan the kernel's mask format (hexadecimal words of 32 bits, the highest first) into ascending ids."""
    cdef Text text = trimmed(content)
    cdef const char *at
    cdef uint64_t position = 0
    cdef int digits = 0, nibble, bit
    cdef bint words = False
    cdef list out = []
    if text.end - text.at >= 2 and text.at[0] == c"0" and (text.at[1] == c"x" or text.at[1] == c"X"):
        text.at += 2
    if text.at == text.end:
        raise ValueError("not a mask")
    at = text.end
    while at > text.at:
        at -= 1
        if at[0] == c",":
            if digits == 0 or digits > 8:
                raise ValueError("not a mask of 32-bit words")
            # A word counts 32 bits however many digits it is written with.
            position += 4 * (8 - digits)
            digits = 0
            words = True
            continue
        nibble = hex_value(at[0])
        if nibble < 0:
            raise ValueError("not a mask")
        digits += 1
        for bit in range(4):
            if nibble >> bit & 1:
                if position + bit > MAX_ID:
                    raise ValueError(f"an id above {MAX_ID}")
                out.append(position + bit)
        position += 4
    if digits == 0 or (words and digits > 8):
        raise ValueError("not a mask of 32-bit words")
    return tuple(out)


def integers(bytes content not None):
    """Scan decimal numbers, each with an optional sign, between white space, into a tuple of ``int``."""
    cdef Text text = trimmed(content)
    cdef uint64_t value
    cdef bint negative
    cdef list out = []
    while text.at < text.end:
        negative = text.at[0] == c"-"
        if negative:
            text.at += 1
        if not scan_decimal(&text, &value) or (text.at < text.end and not is_blank(text.at[0])):
            raise ValueError("not a number")
        out.append(-(<object>value) if negative else value)
        while text.at < text.end and is_blank(text.at[0]):
            text.at += 1
    return tuple(out)


def integer(bytes content not None):
    """Scan one decimal number, with an optional sign."""
    cdef Text text = trimmed(content)
    cdef uint64_t value
    cdef bint negative = text.at < text.end and text.at[0] == c"-"
    if negative:
        text.at += 1
    if not scan_decimal(&text, &value) or text.at != text.end:
        raise ValueError("not a number")
    return -(<object>value) if negative else value


def suffix_numbers(names not None, str prefix not None, str suffix not None=""):
    """Sorted numbers N of the names of the form prefix N suffix, written as the kernel writes a number of 9 digits."""
    cdef list out = []
    cdef Py_ssize_t size, i, start = len(prefix), end
    cdef const char *text
    cdef unsigned int digit, value
    for name in names:
        if not (PyUnicode_IS_ASCII(name) and name.startswith(prefix) and name.endswith(suffix)):
            continue
        text = PyUnicode_AsUTF8AndSize(name, &size)
        end = size - <Py_ssize_t>len(suffix)
        if not 0 < end - start < 10 or (text[start] == c"0" and end - start > 1):
            continue
        value = 0
        for i in range(start, end):
            digit = <unsigned int>(<unsigned char>text[i]) - c"0"
            if digit > 9:
                break
            value = value * 10 + digit
        else:
            out.append(value)
    out.sort()
    return out


def odd(list contents not None):
    """Positions of what is no ``bytes``, or begins with a NUL byte."""
    cdef list out = []
    cdef Py_ssize_t i
    cdef object content
    for i in range(len(contents)):
        content = contents[i]
        if type(content) is not bytes or PyBytes_AS_STRING(content)[0] == 0:
            out.append(i)
    return out


def blank(bytes content not None):
    """Whether there is nothing but white space and NUL bytes."""
    cdef Text text = trimmed(content)
    return text.at == text.end


cdef inline const char *line_end(const char *at, const char *end) noexcept nogil:
    cdef const char *found = <const char *>memchr(at, c"\n", <size_t>(end - at))
    return end if found == NULL else found


def fields(bytes content not None, tuple names not None):
    """Values of ``Name: number`` lines, by the position of the name; None for a name that is not there.

    ``names`` are ``bytes``. A leading ``Node N`` is passed over, a unit behind the number is ``kB``.
    """
    cdef const char *at = PyBytes_AS_STRING(content)
    cdef const char *end = at + PyBytes_GET_SIZE(content)
    cdef const char *stop
    cdef const char *colon
    cdef Py_ssize_t count = len(names), i, tried, expected = 0
    cdef list out = [None] * count
    cdef bytes name
    cdef uint64_t value
    cdef Text text
    for item in names:
        if not isinstance(item, bytes):
            raise TypeError("names are bytes")
    if count == 0:
        return ()
    while at < end:
        stop = line_end(at, end)
        text.at = at
        text.end = stop
        at = stop + 1
        while text.at < text.end and is_blank(text.at[0]):
            text.at += 1
        if text.end - text.at > 5 and memcmp(text.at, b"Node ", 5) == 0:
            text.at += 5
            if not scan_decimal(&text, &value):
                continue
            while text.at < text.end and is_blank(text.at[0]):
                text.at += 1
        colon = <const char *>memchr(text.at, c":", <size_t>(text.end - text.at)) if text.at < text.end else NULL
        if colon == NULL:
            continue
        # Names are requested in the file's own order, so the next one is nearly always the one expected.
        for tried in range(count):
            i = (expected + tried) % count
            name = names[i]
            if PyBytes_GET_SIZE(name) == colon - text.at and memcmp(
                PyBytes_AS_STRING(name), text.at, <size_t>(colon - text.at)
            ) == 0:
                text.at = colon + 1
                while text.at < text.end and is_blank(text.at[0]):
                    text.at += 1
                if not scan_decimal(&text, &value) or (text.at < text.end and not is_blank(text.at[0])):
                    raise ValueError(f"{name.decode('ascii', 'replace')} without a number")
                while text.at < text.end and is_blank(text.at[0]):
                    text.at += 1
                # The kernel writes kB wherever it writes a unit.
                if text.end - text.at >= 2 and memcmp(text.at, b"kB", 2) != 0 and text.at[1] == c"B":
                    raise ValueError(f"{name.decode('ascii', 'replace')} in another unit than kB")
                if out[i] is None:
                    out[i] = value
                expected = i + 1
                break
    return tuple(out)


cdef inline bint word_is(Text *text, const char *word, size_t length) noexcept nogil:
    """Whether the text continues with this word and white space; if so, both are consumed."""
    if <size_t>(text.end - text.at) <= length or memcmp(text.at, word, length) != 0:
        return False
    if not is_blank(text.at[length]):
        return False
    text.at += length
    while text.at < text.end and is_blank(text.at[0]):
        text.at += 1
    return True

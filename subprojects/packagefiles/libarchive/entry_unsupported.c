/* The one function of archive_write_set_format.c that the formats call. That file names every format there is, and so needs them all. */
#define __LIBARCHIVE_BUILD 1
#include "archive_platform.h"

#include "archive.h"
#include "archive_entry.h"
#include "archive_private.h"
#include "archive_write_set_format_private.h"

void __archive_write_entry_filetype_unsupported(struct archive *a, struct archive_entry *entry, const char *format) {
  const char *name = archive_entry_pathname(entry);
  archive_set_error(a, ARCHIVE_ERRNO_MISC, "%s: no such file can be in a %s archive", name ? name : "", format);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The release, as the banner shows it. */
#ifndef BOOT_VERSION_H
#define BOOT_VERSION_H

#define DYAD_VERSION "0.1"

#endif

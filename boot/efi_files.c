/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files below \dyad\ on the loader's own volume: dyad.conf, and each file that
 * it names, once. What cannot be read is reported and recorded with its error;
 * the hypervisor then says which guests cannot start for it.
 */
#include "boot/efi_loader.h"

#include <errno.h>
#include <string.h>

#include "base/config.h"

#define FOLDER "\\dyad\\"

_Static_assert(CONFIG_FILE_MAX <= BOOT_NAME_MAX, "a module has the name that dyad.conf gives it");

static EFI_FILE_HANDLE open_volume(EFI_HANDLE image);
static void read_modules(EFI_FILE_HANDLE volume, struct boot_info *info);
static void read_module(EFI_FILE_HANDLE volume, struct boot_info *info, const char *name);
static int read_file(EFI_FILE_HANDLE volume, struct boot_module *module);
static void report_mistake(void *context, unsigned line, const char *text);

void files_read(EFI_HANDLE image, struct boot_info *info)
{
	EFI_FILE_HANDLE volume = open_volume(image);

	memcpy(info->config.name, "dyad.conf", sizeof("dyad.conf"));
	info->config.error = -ENOENT;
	if (volume == NULL) {
		return;
	}
	info->config.error = read_file(volume, &info->config);
	if (info->config.error == 0) {
		read_modules(volume, info);
	} else {
		print("Dyad: no configuration, so there will be no guests; put one at " FOLDER
		      "dyad.conf\n");
	}
	(void)FIRMWARE(volume->Close(volume));
}

static EFI_FILE_HANDLE open_volume(EFI_HANDLE image)
{
	static EFI_GUID image_guid = LOADED_IMAGE_PROTOCOL;
	static EFI_GUID volume_guid = SIMPLE_FILE_SYSTEM_PROTOCOL;
	EFI_BOOT_SERVICES *services = efi_table->BootServices;
	EFI_LOADED_IMAGE *loaded;
	EFI_FILE_IO_INTERFACE *file_system;
	EFI_FILE_HANDLE volume;
	EFI_STATUS status;
	void *interface;

	status = FIRMWARE(services->HandleProtocol(image, &image_guid, &interface));
	if (EFI_ERROR(status)) {
		goto failed;
	}
	loaded = interface;
	status = FIRMWARE(services->HandleProtocol(loaded->DeviceHandle, &volume_guid, &interface));
	if (EFI_ERROR(status)) {
		goto failed;
	}
	file_system = interface;
	status = FIRMWARE(file_system->OpenVolume(file_system, &volume));
	if (EFI_ERROR(status)) {
		goto failed;
	}
	return volume;

failed:
	print("Dyad: cannot open the volume that Dyad was started from: %s\n", status_text(status));
	return NULL;
}

static void read_modules(EFI_FILE_HANDLE volume, struct boot_info *info)
{
	static struct config config;

	(void)config_parse((const char *)info->config.base.v, info->config.size, &config,
			   report_mistake, NULL);
	config_forget_key(&config);
	for (unsigned i = 0; i < config.guest_count; i++) {
		const struct config_guest *guest = &config.guests[i];

		read_module(volume, info, guest->kernel);
		read_module(volume, info, guest->initrd);
		for (unsigned j = 0; j < guest->module_count; j++) {
			read_module(volume, info, guest->modules[j]);
		}
	}
}

/* COM1 gets these sentences from the hypervisor, which keeps them in its log. */
static void report_mistake(void *context, unsigned line, const char *text)
{
	(void)context;
	print_to(PRINT_SCREEN, "dyad.conf:%u: %s\n", line, text);
}

/* `name` ends at a space: behind it are a multiboot module's arguments. */
static void read_module(EFI_FILE_HANDLE volume, struct boot_info *info, const char *name)
{
	struct boot_module *module = &info->modules[info->module_count];
	size_t length = 0;

	while (name[length] != '\0' && name[length] != ' ') {
		length++;
	}
	if (length == 0) {
		return;
	}
	for (uint64_t i = 0; i < info->module_count; i++) {
		const char *known = info->modules[i].name;

		if (strlen(known) == length && memcmp(known, name, length) == 0) {
			return;
		}
	}
	if (info->module_count == BOOT_MODULE_MAX) {
		print("Dyad: more than %u files are named; one is left out: %s\n", BOOT_MODULE_MAX,
		      name);
		return;
	}
	memcpy(module->name, name, length);
	module->error = read_file(volume, module);
	info->module_count++;
}

/* ---- One file ------------------------------------------------------------------ */

static void make_path(CHAR16 *path, const char *name)
{
	for (const char *c = FOLDER; *c != '\0'; c++) {
		*path++ = (CHAR16)*c;
	}
	for (; *name != '\0'; name++) {
		*path++ = *name == '/' ? '\\' : (CHAR16)*name;
	}
	*path = 0;
}

/* The size of a regular file. */
static EFI_STATUS file_size(EFI_FILE_HANDLE file, uint64_t *size)
{
	static EFI_GUID info_guid = EFI_FILE_INFO_ID;
	/* Aligned for the struct; a file name in it is at most 255 characters. */
	uint64_t buffer[(sizeof(EFI_FILE_INFO) + 256 * sizeof(CHAR16)) / sizeof(uint64_t) + 1];
	const EFI_FILE_INFO *info = (const EFI_FILE_INFO *)buffer;
	UINTN buffer_size = sizeof(buffer);
	EFI_STATUS status = FIRMWARE(file->GetInfo(file, &info_guid, &buffer_size, buffer));

	if (EFI_ERROR(status)) {
		return status;
	}
	*size = info->FileSize;
	return (info->Attribute & EFI_FILE_DIRECTORY) != 0 ? EFI_NOT_FOUND : EFI_SUCCESS;
}

static EFI_STATUS file_contents(EFI_FILE_HANDLE file, char *target, uint64_t size)
{
	while (size > 0) {
		UINTN part = size;
		EFI_STATUS status = FIRMWARE(file->Read(file, &part, target));

		if (EFI_ERROR(status)) {
			return status;
		}
		if (part == 0) {
			return EFI_DEVICE_ERROR; /* shorter than the directory says */
		}
		target += part;
		size -= part;
	}
	return EFI_SUCCESS;
}

static int read_file(EFI_FILE_HANDLE volume, struct boot_module *module)
{
	CHAR16 path[sizeof(FOLDER) + BOOT_NAME_MAX];
	EFI_FILE_HANDLE file;
	EFI_STATUS status;
	uint64_t size;
	int error;

	make_path(path, module->name);
	status = FIRMWARE(volume->Open(volume, &file, path, EFI_FILE_MODE_READ, 0));
	if (EFI_ERROR(status)) {
		error = status == EFI_NOT_FOUND ? -ENOENT : -EIO;
		goto report;
	}
	status = file_size(file, &size);
	if (EFI_ERROR(status)) {
		error = status == EFI_NOT_FOUND ? -ENOENT : -EIO;
		goto close;
	}
	/* An empty file gets a page too: every module has an address. */
	module->base = memory_alloc(PAGES(MAX(size, UINT64_C(1))), PAGE_SIZE);
	if (hpa_is_none(module->base)) {
		status = EFI_OUT_OF_RESOURCES;
		error = -ENOMEM;
		goto close;
	}
	status = file_contents(file, (char *)module->base.v, size);
	if (EFI_ERROR(status)) {
		(void)FIRMWARE(efi_table->BootServices->FreePages(module->base.v,
								  PAGES(MAX(size, UINT64_C(1)))));
		error = -EIO;
		goto close;
	}
	module->size = size;
	error = 0;
close:
	(void)FIRMWARE(file->Close(file));
report:
	if (error == 0) {
		print("Dyad: " FOLDER "%s: %lu bytes\n", module->name, module->size);
	} else {
		module->base = HPA_NONE;
		print("Dyad: " FOLDER "%s: %s\n", module->name, status_text(status));
	}
	return error;
}

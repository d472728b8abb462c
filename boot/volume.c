/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loader brought from the boot volume. The files stay where the loader
 * put them, for every start of a guest.
 */
#include "boot/volume.h"

#include <string.h>

#include "base/log.h"
#include "base/page.h"

static struct config config;
static struct vm_image images[BOOT_MODULE_MAX];
static unsigned image_count;
static uint64_t size;

static void report(void *context, unsigned line, const char *text)
{
	(void)context;
	log_error("dyad.conf:%u: %s", line, text);
}

static void parse_config(const struct boot_module *file)
{
	const char *text = file->error == 0 ? hpa_to_virt(file->base) : "";
	unsigned mistakes =
		config_parse(text, file->error == 0 ? file->size : 0, &config, report, NULL);

	if (file->error == 0) {
		/* The pair's key is in it. */
		memset(hpa_to_virt(file->base), 0, file->size);
	}
	if (file->error != 0) {
		log_error("\\dyad\\dyad.conf was not found or not readable: no guests. "
			  "docs/configuration.md says how to write it");
	} else if (mistakes != 0) {
		log_error("dyad.conf: %u mistake%s; the sections concerned are not used", mistakes,
			  mistakes == 1 ? "" : "s");
	}
}

void volume_init(const struct boot_info *info)
{
	parse_config(&info->config);
	image_count = (unsigned)info->module_count;
	for (unsigned i = 0; i < image_count; i++) {
		const struct boot_module *module = &info->modules[i];

		images[i] = (struct vm_image){
			.name = module->name,
			.data = hpa_to_virt(module->base),
			.size = module->size,
			.error = module->error,
		};
		size += module->error == 0 ? module->size : 0;
	}
}

const struct config *volume_config(void)
{
	return &config;
}

void volume_forget_key(void)
{
	config_forget_key(&config);
}

const struct vm_image *volume_images(unsigned *count)
{
	*count = image_count;
	return images;
}

uint64_t volume_size(void)
{
	return size;
}

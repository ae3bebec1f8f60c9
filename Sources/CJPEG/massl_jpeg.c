// See massl_jpeg.h. Each function that calls libjpeg sets its own return point; locals that libjpeg's longjmp
// could leave stale live in the structs, not in registers.
#define _GNU_SOURCE
#include "massl_jpeg.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

_Static_assert(MASSL_JPEG_REPORT_LENGTH >= JMSG_LENGTH_MAX, "libjpeg's messages must fit the report");

// libjpeg-turbo's vector instructions compute with 16 bits, and saturate, where its C code has 32 and wraps. In a picture
// whose tables and coefficients no encoder writes that shows: it decodes to other pixels, and no warning is given. So the C code decodes
// for everybody; of a training step that takes a thousandth. Each thread asks the environment when it first decodes, and
// before `main` there is only one.
__attribute__((constructor)) static void decode_without_vector_instructions(void) { setenv("JSIMD_FORCENONE", "1", 1); }

// First member `manager`, so that libjpeg's pointer to it is a pointer to this.
typedef struct {
  struct jpeg_error_mgr manager;
  jmp_buf return_point;
  massl_jpeg_report *report;
} error_state;

static void fail(j_common_ptr info) {
  error_state *state = (error_state *)info->err;
  info->err->format_message(info, state->report->error);
  longjmp(state->return_point, 1);
}

enum { LONGEST_WARNING = MASSL_JPEG_REPORT_LENGTH - 32 };

static void refuse_warnings(j_common_ptr info, int level) {
  if (level >= 0) return;  // a trace, not a warning
  error_state *state = (error_state *)info->err;
  // Whatever libjpeg warns of it goes on after, with pixels that it made up: grey to the end of what the header claims.
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
      snprintf(state->report->error, MASSL_JPEG_REPORT_LENGTH, "truncated: the bytes end before the picture does");
      break;
    case JWRN_HIT_MARKER:
      snprintf(state->report->error, MASSL_JPEG_REPORT_LENGTH, "damaged: a scan has fewer pixels than its header claims");
      break;
    default: {
      char warning[JMSG_LENGTH_MAX];
      info->err->format_message(info, warning);
      snprintf(state->report->error, MASSL_JPEG_REPORT_LENGTH, "damaged: libjpeg warns '%.*s'", LONGEST_WARNING, warning);
    }
  }
  longjmp(state->return_point, 1);
}

static void keep_quiet(j_common_ptr info) { (void)info; }

static struct jpeg_error_mgr *install(error_state *state, massl_jpeg_report *report) {
  memset(report, 0, sizeof *report);
  state->report = report;
  jpeg_std_error(&state->manager);
  state->manager.error_exit = fail;
  state->manager.emit_message = refuse_warnings;
  state->manager.output_message = keep_quiet;
  return &state->manager;
}

// A scan may take a few hundred bytes and pass over all of a large picture: a small file of many scans would keep libjpeg
// busy for hours. Progressive files have about ten; one for each bit of each coefficient of each channel is beyond use.
enum { SCANS_AT_MOST = 100 };

static void count_scans(j_common_ptr info) {
  if (((j_decompress_ptr)info)->input_scan_number <= SCANS_AT_MOST) return;
  error_state *state = (error_state *)info->err;
  snprintf(
      state->report->error, MASSL_JPEG_REPORT_LENGTH, "it has more scans than the %d that a picture may have", SCANS_AT_MOST);
  longjmp(state->return_point, 1);
}

struct massl_jpeg_decoder {
  struct jpeg_decompress_struct info;
  error_state errors;
  struct jpeg_progress_mgr progress;
  uint8_t *row;  // one row of CMYK, or null
};

massl_jpeg_decoder *massl_jpeg_open(const uint8_t *bytes, size_t count, massl_jpeg_report *report) {
  massl_jpeg_decoder *decoder = calloc(1, sizeof *decoder);
  if (decoder == NULL) {
    memset(report, 0, sizeof *report);
    snprintf(report->error, MASSL_JPEG_REPORT_LENGTH, "out of memory");
    return NULL;
  }
  decoder->info.err = install(&decoder->errors, report);
  if (setjmp(decoder->errors.return_point)) {
    massl_jpeg_close(decoder);
    return NULL;
  }
  jpeg_create_decompress(&decoder->info);
  decoder->progress.progress_monitor = count_scans;
  decoder->info.progress = &decoder->progress;
  jpeg_mem_src(&decoder->info, bytes, count);
  jpeg_read_header(&decoder->info, TRUE);
  return decoder;
}

uint32_t massl_jpeg_width(const massl_jpeg_decoder *decoder) { return decoder->info.image_width; }
uint32_t massl_jpeg_height(const massl_jpeg_decoder *decoder) { return decoder->info.image_height; }

// a * b / 255, rounded, for bytes.
static inline int product(int a, int b) {
  int twice = a * b + 128;
  return ((twice >> 8) + twice) >> 8;
}

// Inverted CMYK holds 255 - ink: what is left of each colour, and of the black.
static void rgb_from_inverted_cmyk(const uint8_t *cmyk, uint8_t *rgb, uint32_t width) {
  for (uint32_t x = 0; x < width; x++, cmyk += 4, rgb += 3) {
    for (int channel = 0; channel < 3; channel++) {
      int value = cmyk[3] - product(255 - cmyk[channel], cmyk[3]);
      rgb[channel] = (uint8_t)(value < 0 ? 0 : value);
    }
  }
}

int massl_jpeg_read(massl_jpeg_decoder *decoder, uint8_t *pixels, massl_jpeg_report *report) {
  struct jpeg_decompress_struct *info = &decoder->info;
  decoder->errors.report = report;
  if (setjmp(decoder->errors.return_point)) return 0;
  int has_ink = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
  info->out_color_space = has_ink ? JCS_CMYK : JCS_RGB;
  info->dct_method = JDCT_ISLOW;
  info->do_fancy_upsampling = TRUE;
  jpeg_start_decompress(info);
  if (has_ink) {
    decoder->row = malloc((size_t)info->image_width * 4);
    if (decoder->row == NULL) ERREXIT1(info, JERR_OUT_OF_MEMORY, 0);
  }
  while (info->output_scanline < info->output_height) {
    uint8_t *target = pixels + (size_t)info->output_scanline * info->image_width * 3;
    JSAMPROW row = has_ink ? decoder->row : target;
    jpeg_read_scanlines(info, &row, 1);
    if (has_ink) rgb_from_inverted_cmyk(decoder->row, target, info->image_width);
  }
  jpeg_finish_decompress(info);  // reads on to the end marker, and so finds that it is missing
  return 1;
}

void massl_jpeg_close(massl_jpeg_decoder *decoder) {
  jpeg_destroy_decompress(&decoder->info);
  free(decoder->row);
  free(decoder);
}

typedef struct {
  struct jpeg_compress_struct info;
  error_state errors;
  unsigned char *bytes;
  unsigned long count;
} encoder;

int massl_jpeg_encode(
    const uint8_t *pixels, uint32_t width, uint32_t height, int channels, int quality, int progressive,
    int chroma_rows_halved, uint8_t **bytes, size_t *count, massl_jpeg_report *report) {
  encoder state;
  memset(&state, 0, sizeof state);
  state.info.err = install(&state.errors, report);
  if (setjmp(state.errors.return_point)) {
    jpeg_destroy_compress(&state.info);
    free(state.bytes);
    return 0;
  }
  jpeg_create_compress(&state.info);
  jpeg_mem_dest(&state.info, &state.bytes, &state.count);
  state.info.image_width = width;
  state.info.image_height = height;
  state.info.input_components = channels;
  state.info.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&state.info);
  jpeg_set_quality(&state.info, quality, TRUE);
  state.info.dct_method = JDCT_ISLOW;
  if (channels == 3 && !chroma_rows_halved) state.info.comp_info[0].v_samp_factor = 1;
  if (progressive) jpeg_simple_progression(&state.info);
  jpeg_start_compress(&state.info, TRUE);
  while (state.info.next_scanline < height) {
    JSAMPROW row = (JSAMPROW)(pixels + (size_t)state.info.next_scanline * width * channels);
    jpeg_write_scanlines(&state.info, &row, 1);
  }
  jpeg_finish_compress(&state.info);
  jpeg_destroy_compress(&state.info);
  *bytes = state.bytes;
  *count = state.count;
  return 1;
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *massl_jpeg_headers(void) {
#ifdef LIBJPEG_TURBO_VERSION
  return "libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION);
#else
  return "libjpeg " TEXT(JPEG_LIB_VERSION);
#endif
}

int massl_jpeg_file(char *path, size_t capacity) {
  Dl_info library;
  void *symbol = dlsym(RTLD_DEFAULT, "jpeg_std_error");
  if (symbol == NULL || dladdr(symbol, &library) == 0 || library.dli_fname == NULL) return 0;
  char *resolved = realpath(library.dli_fname, NULL);
  snprintf(path, capacity, "%s", resolved != NULL ? resolved : library.dli_fname);
  free(resolved);
  return 1;
}

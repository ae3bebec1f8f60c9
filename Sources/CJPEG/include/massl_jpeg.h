// libjpeg behind calls that return: libjpeg reports errors by longjmp, which must not cross Swift frames.
#ifndef MASSL_JPEG_H
#define MASSL_JPEG_H

#include <stddef.h>
#include <stdint.h>

enum { MASSL_JPEG_REPORT_LENGTH = 256 };

/// What libjpeg had to say: `error` of the call that failed, `warning` the first of `warnings` so far.
/// Both are sentences that end with a zero byte, empty if there is none.
typedef struct {
  char error[MASSL_JPEG_REPORT_LENGTH];
  char warning[MASSL_JPEG_REPORT_LENGTH];
  long warnings;
} massl_jpeg_report;

/// A picture between its header and its pixels.
typedef struct massl_jpeg_decoder massl_jpeg_decoder;

/// Reads the header of the JPEG file in `bytes`, which must stay where they are until `massl_jpeg_close`.
/// Null on failure; `report` then says why. Allocates nothing that grows with the size the header claims.
massl_jpeg_decoder *massl_jpeg_open(const uint8_t *bytes, size_t count, massl_jpeg_report *report);

/// Pixels in a row, and rows.
uint32_t massl_jpeg_width(const massl_jpeg_decoder *decoder);
uint32_t massl_jpeg_height(const massl_jpeg_decoder *decoder);

/// Decodes into `pixels`: width * height * 3 bytes, red, green, blue, row by row from the top. Once a decoder.
/// The accurate integer DCT and smooth chroma upsampling, so that the bytes depend on no machine; bytes that end
/// before the end marker, and scans that end before the last pixel, are an error. Grey gives three equal channels.
/// CMYK and YCCK are taken to be inverted, as Adobe writes them, and turned to RGB as Pillow does.
/// 1, or 0 on failure; `report` then says why.
int massl_jpeg_read(massl_jpeg_decoder *decoder, uint8_t *pixels, massl_jpeg_report *report);

void massl_jpeg_close(massl_jpeg_decoder *decoder);

/// Encodes width * height pixels of `channels` bytes (1: grey, 3: RGB) at `quality` 1...100 into `*bytes`, which the
/// caller frees with `free`. 1, or 0 on failure; `report` then says why, and nothing is to be freed.
int massl_jpeg_encode(
    const uint8_t *pixels, uint32_t width, uint32_t height, int channels, int quality, int progressive,
    uint8_t **bytes, size_t *count, massl_jpeg_report *report);

#endif

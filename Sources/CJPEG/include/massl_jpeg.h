// libjpeg behind calls that return: libjpeg reports errors by longjmp, which must not cross Swift frames.
#ifndef MASSL_JPEG_H
#define MASSL_JPEG_H

#include <stddef.h>
#include <stdint.h>

enum { MASSL_JPEG_REPORT_LENGTH = 256 };

/// Why the call that failed did: a sentence that ends with a zero byte, empty if it did not.
/// What libjpeg only warns of is a failure too: the pixels that follow a warning are made up.
typedef struct {
  char error[MASSL_JPEG_REPORT_LENGTH];
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
/// The accurate integer DCT and smooth chroma upsampling in plain C, so that the pixels depend on no machine; bytes that end
/// before the end marker, and scans that end before the last pixel, are an error. Grey gives three equal channels.
/// CMYK and YCCK are taken to be inverted, as Adobe writes them, and turned to RGB as Pillow does.
/// 1, or 0 on failure; `report` then says why.
int massl_jpeg_read(massl_jpeg_decoder *decoder, uint8_t *pixels, massl_jpeg_report *report);

void massl_jpeg_close(massl_jpeg_decoder *decoder);

/// Encodes width * height pixels of `channels` bytes (1: grey, 3: RGB, 4: inverted CMYK) at `quality` 1...100 into
/// `*bytes`, which the caller frees with `free`. An RGB picture's chroma has half the columns, and half the rows unless
/// told otherwise. 1, or 0 on failure; `report` then says why, and nothing is to be freed.
int massl_jpeg_encode(
    const uint8_t *pixels, uint32_t width, uint32_t height, int channels, int quality, int progressive,
    int chroma_rows_halved, uint8_t **bytes, size_t *count, massl_jpeg_report *report);

/// The version whose headers this was compiled with: "libjpeg-turbo 2.1.5".
const char *massl_jpeg_headers(void);

/// Writes the path of the library's file as it was loaded, behind all links. 1, or 0 if it cannot be told.
int massl_jpeg_file(char *path, size_t capacity);

#endif

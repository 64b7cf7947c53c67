// B of conv2d's gradient with respect to its input, one product per group z, for strides above 1:
// rows m = input channels, columns n = (image, y, x), terms k = (o, ky, kx).
//   dx[image, c, y, x] = sum_k w[o, c, ky, kx] dy[image, o, oy, ox]
//   over the taps with oy sy = y + py - ky dy and ox sx = x + px - kx dx
//   A = w [O, C/groups, kernel_h, kernel_w]   B = dy [images, O, out_h, out_w]
// With y + py = s q + r and ky dy = s q' + r' such an oy exists just when r = r', and is q - q'. So
// a column and a step divide by the stride once each, and a load only compares phases.
// Why indices may wrap: see operands_conv2d.wgsl; what the functions answer: operands_matmul.wgsl.
struct Params {
  rows: u32, columns: u32, terms: u32, batches: u32, splits: u32, split_terms: u32, block_rows: u32,
  block_terms: u32,
  out_size: u32, out_batch_stride: u32, out_row_stride: u32, out_run: u32, out_run_stride: u32,
  out_column_stride: u32,
  a_start: u32, a_batch_stride: u32, a_row_stride: u32, a_run: u32, a_run_stride: u32,
  a_term_stride: u32,
  height: u32, width: u32, out_channels: u32, out_height: u32, out_width: u32,
  kernel_h: u32, kernel_w: u32, stride_y: u32, stride_x: u32, padding_y: u32, padding_x: u32,
  dilation_y: u32, dilation_x: u32
}

/** padded_y, padded_x: the pixel, from the padding's corner; y, x: q of both; phase: r of both. */
struct Column { padded_y: u32, padded_x: u32, y: u32, x: u32, phase: u32, i_b: u32, i_image: u32 }

/** The same of the tap (ky, kx), and the tap itself, for `next_step`. */
struct Step { y: u32, x: u32, phase: u32, i_b: u32, tap_y: u32, tap_x: u32, i_channel: u32 }

fn column_of(i_image: u32, padded_y: u32, padded_x: u32) -> Column {
  let y = padded_y / params.stride_y;
  let x = padded_x / params.stride_x;
  let phase = padded_y % params.stride_y * params.stride_x + padded_x % params.stride_x;
  return Column(padded_y, padded_x, y, x, phase, i_image + y * params.out_width + x, i_image);
}

fn column_at(z: u32, n: u32) -> Column {
  let pixels = params.height * params.width;
  let pixel = n % pixels;
  let channel = n / pixels * params.out_channels + z * (params.out_channels / params.batches);
  let y = pixel / params.width + params.padding_y;
  let x = pixel % params.width + params.padding_x;
  return column_of(channel * params.out_height * params.out_width, y, x);
}

fn next_column(column: Column) -> Column {
  let is_row_end = column.padded_x + 1u == params.width + params.padding_x;
  let x = select(column.padded_x + 1u, params.padding_x, is_row_end);
  let next_y = select(column.padded_y, column.padded_y + 1u, is_row_end);
  let is_image_end = next_y == params.height + params.padding_y;
  let y = select(next_y, params.padding_y, is_image_end);
  let image_size = params.out_channels * params.out_height * params.out_width;
  return column_of(column.i_image + select(0u, image_size, is_image_end), y, x);
}

fn step_of(i_channel: u32, tap_y: u32, tap_x: u32) -> Step {
  let y = tap_y / params.stride_y;
  let x = tap_x / params.stride_x;
  let phase = tap_y % params.stride_y * params.stride_x + tap_x % params.stride_x;
  return Step(y, x, phase, i_channel - y * params.out_width - x, tap_y, tap_x, i_channel);
}

fn step_at(k: u32) -> Step {
  let taps = params.kernel_h * params.kernel_w;
  let i_channel = k / taps * params.out_height * params.out_width;
  let tap_y = k % taps / params.kernel_w * params.dilation_y;
  return step_of(i_channel, tap_y, k % params.kernel_w * params.dilation_x);
}

fn next_step(step: Step) -> Step {
  let is_row_end = step.tap_x + params.dilation_x == params.kernel_w * params.dilation_x;
  let tap_x = select(step.tap_x + params.dilation_x, 0u, is_row_end);
  let next_y = select(step.tap_y, step.tap_y + params.dilation_y, is_row_end);
  let is_channel_end = next_y == params.kernel_h * params.dilation_y;
  let pixels = params.out_height * params.out_width;
  let i_channel = step.i_channel + select(0u, pixels, is_channel_end);
  return step_of(i_channel, select(next_y, 0u, is_channel_end), tap_x);
}

fn load_b(column: Column, step: Step) -> Real {
  let is_inside = column.y - step.y < params.out_height && column.x - step.x < params.out_width;
  let is_hit = is_inside && column.phase == step.phase;
  return select(Real(0), b[select(0u, column.i_b + step.i_b, is_hit)], is_hit);
}

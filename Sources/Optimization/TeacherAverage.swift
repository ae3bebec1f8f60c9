import Numerics

/// Writes the next teacher: momentum * teacher + (1 - momentum) * the next student, every parameter alike.
///
/// Coordinator and workers call this with the same numbers and get the same bits.
///
/// - Parameters:
///   - teacher: `[count]`; only read.
///   - student: the student after this step's update, `[count]`; only read.
///   - momentum: of this step, 0...1.
///   - newTeacher: `[count]`; may be `teacher`.
public func averageTeacher(
  _ teacher: FloatBuffer, student: FloatBuffer, momentum: Double, into newTeacher: FloatBuffer
) {
  let count = teacher.count
  invariant(student.count == count && newTeacher.count == count)
  let (keep, gain) = (Float(momentum), Float(1 - momentum))
  let size = 1 << 16
  forEachChunk((count + size - 1) / size) { chunk in
    let start = chunk * size
    let length = min(size, count - start)
    average(
      teacher.vector(at: start, count: length), keep: keep, student.vector(at: start, count: length), gain: gain,
      into: newTeacher.vector(at: start, count: length))
  }
}

import Numerics
import Optimization
import TestSupport
import Testing

@Suite struct TeacherAverageTests {
  @Test(arguments: [1, 13, 65_536, 131_075]) func matchesNaive(count: Int) {
    var random = RandomFloats(seed: 7)
    let (teacher, student) = (random.buffer(count: count), random.buffer(count: count))
    let (old, new) = (teacher.array, FloatBuffer(count: count))
    averageTeacher(teacher, student: student, momentum: 0.992, into: new)
    #expect(teacher.array == old)
    for i in 0..<count {
      let expected = 0.992 * Double(teacher[i]) + 0.008 * Double(student[i])
      if abs(Double(new[i]) - expected) > 1e-7 { Issue.record("element \(i): \(new[i]), not \(expected)") }
    }
    averageTeacher(teacher, student: student, momentum: 0.992, into: teacher)
    #expect(teacher.digest == new.digest)
  }

  @Test func momentumOfOneKeepsEveryBit() {
    var random = RandomFloats(seed: 8)
    let (teacher, student) = (random.buffer(count: 99), random.buffer(count: 99))
    let digest = teacher.digest
    averageTeacher(teacher, student: student, momentum: 1, into: teacher)
    #expect(teacher.digest == digest)
  }
}

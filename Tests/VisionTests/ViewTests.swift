import Numerics
import Testing
import Vision

@Suite struct ViewTests {
  static var small: ViewSettings {
    var settings = ViewSettings()
    (settings.globalSize, settings.localSize, settings.localViews) = (16, 8, 3)
    return settings
  }

  private func views(_ sampler: inout ViewSampler, image: Int, epoch: Int) throws -> [[Float]] {
    let picture = try Fixture.picture()
    let buffers = (0..<ViewSettings.globalViews + sampler.settings.localViews).map { view in
      let size = sampler.settings.size(ofView: view)
      return FloatBuffer(count: 3 * size * size)
    }
    for (view, buffer) in buffers.enumerated() {
      sampler.writeView(view, of: picture, image: image, epoch: epoch, into: buffer.vector)
    }
    return buffers.map(\.array)
  }

  @Test func viewsDoNotDependOnWhatWasMadeBefore() throws {
    var (fresh, used) = (ViewSampler(settings: Self.small, seed: 7), ViewSampler(settings: Self.small, seed: 7))
    for image in 0..<5 { _ = try views(&used, image: image, epoch: 3) }
    #expect(try views(&fresh, image: 2, epoch: 1) == views(&used, image: 2, epoch: 1))
  }

  @Test func seedEpochImageAndViewEachCount() throws {
    var (one, other) = (ViewSampler(settings: Self.small, seed: 7), ViewSampler(settings: Self.small, seed: 8))
    let found = try views(&one, image: 2, epoch: 1)
    #expect(try views(&other, image: 2, epoch: 1)[0] != found[0])
    #expect(try views(&one, image: 3, epoch: 1)[0] != found[0])
    #expect(try views(&one, image: 2, epoch: 2)[0] != found[0])
    #expect(found[2] != found[3])
  }

  @Test func viewsAreNormalized() {
    var settings = Self.small
    (settings.jitterProbability, settings.localViews) = (0, 0)
    let picture = Picture(width: 40, height: 30, pixels: [UInt8](repeating: 51, count: 3600))
    var sampler = ViewSampler(settings: settings, seed: 1)
    let buffer = FloatBuffer(count: 3 * 16 * 16)
    sampler.writeView(0, of: picture, image: 0, epoch: 0, into: buffer.vector)
    for (channel, expected) in [(0.2 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0.2 - 0.406) / 0.225].enumerated() {
      let differences = (0..<256).map { abs(buffer[channel * 256 + $0] - Float(expected)) }
      #expect(differences.max()! < 1e-5)
    }
  }

  private func drawn(_ count: Int, view: Int, _ settings: ViewSettings = ViewSettings()) -> [ViewParameters] {
    (0..<count).map { image in
      .drawn(
        view: view, width: 400, height: 300, settings: settings,
        key: RandomKey(seed: 5, purpose: .augmentation, step: 0, image: UInt64(image), view: UInt32(view)))
    }
  }

  @Test(arguments: [(0, 1.0, 0.0), (1, 0.1, 0.2), (2, 0.5, 0.0), (9, 0.5, 0.0)])
  func operationsComeAsOftenAsTheMethodSays(view: Int, blur: Double, solarize: Double) {
    let count = 4_000
    let all = drawn(count, view: view)
    func share(_ matches: (PictureOperation) -> Bool) -> Double {
      Double(all.count { $0.operations.contains(where: matches) }) / Double(count)
    }
    // Four deviations of a share of 4,000.
    let slack = 0.032
    #expect(abs(share { $0 == .flip } - 0.5) < slack)
    #expect(abs(share { if case .brightness = $0 { true } else { false } } - 0.8) < slack)
    #expect(abs(share { if case .hue = $0 { true } else { false } } - 0.8) < slack)
    #expect(abs(share { $0 == .grayscale } - 0.2) < slack)
    #expect(abs(share { if case .blur = $0 { true } else { false } } - blur) < (blur == 1 ? 1e-9 : slack))
    #expect(abs(share { $0 == .solarize(threshold: 128) } - solarize) < (solarize == 0 ? 1e-9 : slack))
  }

  @Test func jitterIsInEveryOrderAndWithinItsStrength() {
    var orders: Set<String> = []
    for parameters in drawn(2_000, view: 2) {
      var order = ""
      for operation in parameters.operations {
        switch operation {
        case .brightness(let factor):
          #expect(0.6...1.4 ~= factor)
          order += "b"
        case .contrast(let factor):
          #expect(0.6...1.4 ~= factor)
          order += "c"
        case .saturation(let factor):
          #expect(0.8...1.2 ~= factor)
          order += "s"
        case .hue(let shift):
          #expect(-0.1...0.1 ~= shift)
          order += "h"
        default: break
        }
      }
      orders.insert(order)
    }
    #expect(orders.count == 25)  // 24 and none
  }

  @Test(arguments: [0, 2]) func regionsCoverTheScaleAndThePicture(view: Int) {
    let scale = view == 0 ? 0.32...1 : 0.05...0.32
    let all = drawn(4_000, view: view).map(\.region)
    let areas = all.map { Double($0.width * $0.height) / 120_000 }
    #expect(areas.min()! > scale.lowerBound - 0.01)
    #expect(areas.max()! < scale.upperBound + 0.01)
    #expect(areas.min()! < scale.lowerBound + 0.02)
    for region in all {
      #expect(0.72...1.38 ~= Double(region.width) / Double(region.height))
      #expect(region.top >= 0 && region.top + region.height <= 300)
      #expect(region.left >= 0 && region.left + region.width <= 400)
    }
    // Where there is room, the place within it is even.
    let places = all.filter { $0.width < 300 }.map { Double($0.left) / Double(400 - $0.width) }
    #expect(abs(places.reduce(0, +) / Double(places.count) - 0.5) < 0.03)
    #expect(places.min()! < 0.05 && places.max()! > 0.95)
  }

  @Test func narrowPicturesGiveTheirCentre() {
    var settings = ViewSettings()
    settings.globalScale = 1...1
    let wide = ViewParameters.drawn(
      view: 0, width: 1_000, height: 30, settings: settings, key: RandomKey(seed: 1, purpose: .augmentation))
    #expect(wide.region == Region(top: 0, left: 480, height: 30, width: 40))
    let tall = ViewParameters.drawn(
      view: 0, width: 30, height: 1_000, settings: settings, key: RandomKey(seed: 1, purpose: .augmentation))
    #expect(tall.region == Region(top: 480, left: 0, height: 40, width: 30))
  }

  @Test func onePixelIsEnough() {
    let picture = Picture(width: 1, height: 1, pixels: [10, 20, 30])
    var sampler = ViewSampler(settings: Self.small, seed: 1)
    let buffer = FloatBuffer(count: 3 * 16 * 16)
    for epoch in 0..<20 {
      sampler.writeView(epoch % 2, of: picture, image: 0, epoch: epoch, into: buffer.vector)
      #expect(buffer.array.allSatisfy { $0.isFinite })
    }
  }
}

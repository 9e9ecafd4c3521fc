"""Fast rollouts against the direct computation on pixels: all K slots of every pair, nothing shared."""

import numpy as np
import pytest
import torch

from alba.config import AssignmentSettings, GroupingSettings
from alba.grouping import draw_chance, group_video, join_steps, roll_out, slot_log_probs
from alba.networks import changes, relation
from alba.networks.changes import FrameEncodings
from alba.networks.layers import Encoder
from alba.training.checkpoint import build_assignment
from benchmarks.direct import PixelVideo, group

SIZE, WORKING, NUM_FEATURES = 16, (9, 14), 3
LENGTHS = (5, 2, 7)  # the second video ends while the others go on
TOLERANCE = 2e-5


def random_pixels(rng, num_frames, none_in=1):
    """Blobs that move and overlap, none at all in one of the frames; a mask may cover everything."""
    rows, columns = np.mgrid[: WORKING[0], : WORKING[1]]
    centres = rng.uniform(0, 1, (5, 2)) * WORKING
    masks = []
    for t in range(num_frames):
        num = 0 if t == none_in else rng.integers(1, 6)
        centres += rng.normal(0, 1, centres.shape)
        radii = rng.uniform(1, 6, num)
        masks.append(
            np.stack(
                [np.hypot(rows - y, columns - x) < r for (y, x), r in zip(centres[:num], radii, strict=True)]
            )
            if num
            else np.zeros((0, *WORKING), bool)
        )
    backward = rng.normal(0, 1.5, (num_frames, 2, *WORKING)).astype(np.float32)
    features = [rng.normal(size=(len(m), NUM_FEATURES + 2)).astype(np.float32) for m in masks]
    pictures = rng.normal(0, 0.5, (num_frames, 5, SIZE, SIZE)).astype(np.float16)
    return PixelVideo(masks, features, backward, pictures)


def make(fusion, num_slots, none_action, seed, rgb=True):
    torch.manual_seed(seed)
    encoder = {"input_size": SIZE, "widths": [[4, 4], [6], [5, 5]], "rgb": rgb}
    settings = AssignmentSettings(fusion=fusion, encoder=encoder, hidden=(12, 8))
    grouping = GroupingSettings(num_slots=num_slots, none_action=none_action)
    assignment = build_assignment(settings, grouping, NUM_FEATURES)
    standardize = assignment.network.standardize
    standardize.mean.normal_(0, 0.5)
    standardize.deviation.uniform_(0.3, 2)
    with torch.no_grad():  # decisions that are not all alike
        assignment.network.head[-1].weight.mul_(6)
    return assignment


def fast(pixels):
    return group_video("v", pixels.masks, list(pixels.features), pixels.backward, None, pixels.pictures)


@pytest.fixture(params=["whole", "changes"])
def small_pictures(request, monkeypatch):
    """Pictures encoded whole, and only where masks change them."""
    monkeypatch.setattr(relation, "CHANGES_FROM", 1 if request.param == "changes" else 10**9)


CASES = [
    ("late", 6, True),
    ("late", 6, False),
    ("late", 1, True),
    ("late", 2, False),
    ("early", 6, False),
    ("early", 1, False),
    ("early", 2, False),
]


@pytest.mark.parametrize(("fusion", "num_slots", "none_action"), CASES)
@pytest.mark.parametrize("seed", range(2))
def test_every_decision_has_the_probability_that_pixels_and_all_slots_give(
    fusion,
    num_slots,
    none_action,
    seed,
    small_pictures,
):
    """Sampled rollouts, several of each video side by side: every state is met, padded or full or empty."""
    rng = np.random.default_rng(seed)
    pixels = [random_pixels(rng, num) for num in LENGTHS]
    assignment = make(fusion, num_slots, none_action, seed)
    episodes = roll_out(
        [fast(video) for video in pixels],
        assignment.observer,
        assignment.network,
        num_slots,
        num_rollouts=3,
        chance=draw_chance([fast(video) for video in pixels], 3, torch.Generator().manual_seed(seed)),
        keep_steps=True,
    )
    recorded = {b: [] for b in range(9)}
    for step in episodes.steps:
        for b in step.active.nonzero()[:, 0].tolist():
            recorded[b].append(float(step.log_prob[b]))
    weights = assignment.network.state_dict()
    slots_met = set()
    for b in range(9):
        taken = episodes.frame_choices(b)
        slots_met |= set(np.concatenate(taken).tolist())
        _, expected = group(
            pixels[b // 3], fusion, weights, num_slots, assignment.observer.none_action, taken
        )
        np.testing.assert_allclose(recorded[b], expected, atol=TOLERANCE, rtol=TOLERANCE)
    assert slots_met >= set(range(1, min(num_slots, 3) + 1)) | ({0} if none_action else set())


@pytest.mark.parametrize(("fusion", "num_slots", "none_action"), [("late", 5, True), ("early", 5, False)])
def test_greedy_decisions_are_the_direct_ones(fusion, num_slots, none_action):
    rng = np.random.default_rng(7)
    pixels = [random_pixels(rng, num) for num in LENGTHS]
    assignment = make(fusion, num_slots, none_action, 3)
    episodes = roll_out([fast(video) for video in pixels], assignment.observer, assignment.network, num_slots)
    weights = assignment.network.state_dict()
    for b, video in enumerate(pixels):
        expected, _ = group(video, fusion, weights, num_slots, assignment.observer.none_action)
        assert [frame.tolist() for frame in episodes.frame_choices(b)] == expected


def test_a_process_without_a_share_of_a_batch_has_no_answers(small_pictures):
    """As the last batch of an epoch may have fewer decisions than there are processes."""
    assignment = make("early", 5, False, 1)
    network, observer = assignment.network, assignment.observer
    video = fast(random_pixels(np.random.default_rng(3), 2))
    step = roll_out([video], observer, network, 5, keep_steps=True).steps[0]
    nothing = observer.take(step.observation, torch.arange(0))
    with torch.no_grad():
        assert network(*nothing, step.num_live).shape == (0, step.num_live)
    network(*nothing, step.num_live).sum().backward()
    assert all(part.grad is None or not part.grad.any() for part in network.parameters())


@pytest.mark.parametrize("rgb", [True, False])
def test_joined_minibatches_share_pictures_and_give_the_direct_gradient(rgb):
    """Steps of two rollouts in one batch, with gradients: what reinforcement recomputes."""
    rng = np.random.default_rng(11)
    pixels = [random_pixels(rng, num) for num in (3, 4)]
    assignment = make("early", 5, False, 1, rgb)
    network, observer = assignment.network, assignment.observer
    steps = [
        step
        for part in (pixels[:1], pixels)
        for step in roll_out(
            [fast(video) for video in part],
            observer,
            network,
            5,
            num_rollouts=2,
            chance=draw_chance([fast(video) for video in part], 2, torch.Generator().manual_seed(0)),
            keep_steps=True,
        ).steps
    ]
    observation, choice, num_used, _, num_live = join_steps(steps, observer)
    banks = {id(step.observation[-1]) for step in steps}
    assert len(observation[-1]) < sum(len(step.observation[-1]) for step in steps)
    assert len(banks) == 7
    log_probs = slot_log_probs(network(*observation, num_live), num_used, 5, False)
    recorded = torch.cat([step.log_prob[step.active] for step in steps])
    torch.testing.assert_close(log_probs.gather(1, choice[:, None])[:, 0], recorded, atol=1e-5, rtol=1e-5)
    log_probs.gather(1, choice[:, None]).sum().backward()
    shared = {name: part.grad.clone() for name, part in network.named_parameters()}
    network.zero_grad()
    one_by_one = [
        slot_log_probs(
            network(*join_steps([step], observer)[0], step.num_live), step.num_used[step.active], 5, False
        )
        .gather(1, step.choice[step.active][:, None])
        .sum()
        for step in steps
        if step.active.any()
    ]
    sum(one_by_one).backward()
    for name, part in network.named_parameters():
        torch.testing.assert_close(shared[name], part.grad, atol=1e-4, rtol=1e-3)


def test_slots_without_a_pixel_and_equal_pairs_are_encoded_once(monkeypatch):
    """Counts what reaches the encoder: the savings are taken, not only harmless."""
    encoded = []
    original = relation.EarlyRelation._encode

    def counting(self, slots, proposal, *others):
        encoded.append(len(slots))
        return original(self, slots, proposal, *others)

    monkeypatch.setattr(relation.EarlyRelation, "_encode", counting)
    rng = np.random.default_rng(2)
    video = fast(random_pixels(rng, 4, none_in=-1))
    assignment = make("early", 6, False, 0)
    roll_out([video], assignment.observer, assignment.network, 6, num_rollouts=5)
    # Greedy rollouts are all alike: as many pairs as one of them has slots with pixels, and an empty one.
    assert sum(encoded) <= sum((len(frame.membership) + 3) ** 2 for frame in video.frames)
    before = list(encoded)
    encoded.clear()
    roll_out([video], assignment.observer, assignment.network, 6)
    assert encoded == before


def test_changes_reach_as_far_as_masks_change_anything():
    """Masks of all extents, at borders and corners, in pairs that meet in all layers, some or none."""
    torch.manual_seed(0)
    size, num = 50, 14  # a side that is odd after a pool
    encoder = Encoder(4, [[4, 4], [6, 6, 6], [5], [7, 7]]).double()
    frames = torch.randn(2, 1, size, size).double()
    rng = np.random.default_rng(0)
    masks = torch.zeros(2, num, 2, size, size, dtype=torch.bool)
    for p in range(num):
        for which, channel in [(0, 0), (1, 0), (1, 1)]:
            y, x = rng.integers(0, size, 2)
            height, width = rng.integers(1, 2 + 3 * p, 2)
            masks[which, p, channel, max(0, y - height) : y + 1, x : x + width] = True
    masks[1, 0], masks[0, 1] = False, False  # without a pixel
    masks[1, 2:4, 0] = masks[0, 2:4, 0]
    proposals, slots = masks[0, :, :1], masks[1]
    frame_of = torch.arange(num) % 2
    weight, bias = encoder.first.weight, encoder.first.bias
    with torch.no_grad():
        convolved = torch.nn.functional.conv2d(frames, weight[:, :1], bias, padding=1)
        known = FrameEncodings(encoder, convolved)
        for part in (torch.arange(5), torch.arange(num)):  # the first five are known when all come
            first = known.encode(
                proposals[part], relation._pack(proposals[part]), frame_of[part], weight[:, 1:2]
            )
            second = known.encode(slots[part], relation._pack(slots[part]), frame_of[part], weight[:, 2:])
        features = known.features(first, second)
        expected = encoder(torch.cat([frames[frame_of], proposals.double(), slots.double()], dim=1))
    torch.testing.assert_close(features, expected, atol=1e-12, rtol=1e-9)


def test_what_is_known_is_computed_once_and_forgotten_in_time(monkeypatch):
    """Of a frame: each proposal once, and a slot only when it has changed; the same without the memory."""
    added = []
    original = changes.FrameEncodings._add

    def counting(self, masks, *others):
        added.append(len(masks))
        return original(self, masks, *others)

    monkeypatch.setattr(relation, "CHANGES_FROM", 1)
    monkeypatch.setattr(changes.FrameEncodings, "_add", counting)
    rng = np.random.default_rng(2)
    video = fast(random_pixels(rng, 5, none_in=-1))
    assignment = make("early", 6, False, 0)
    remembered = roll_out([video], assignment.observer, assignment.network, 6, keep_steps=True)
    # Of a frame: its proposals, what each leaves in a slot, slots of the frame before, an empty one.
    sizes = [len(frame.membership) for frame in video.frames]
    assert sum(added) <= sum(2 * now + before + 1 for now, before in zip(sizes, [0, *sizes], strict=False))
    few = sum(added)
    monkeypatch.setattr(changes, "MOST_ITEMS", 1)
    forgetful = roll_out([video], assignment.observer, assignment.network, 6, keep_steps=True)
    assert sum(added) - few > few
    for one, other in zip(remembered.steps, forgetful.steps, strict=True):
        torch.testing.assert_close(one.log_prob, other.log_prob)

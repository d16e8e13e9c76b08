//! How viewers move the camera: pointers, wheel and keys in, a camera out, one step per tick.
//!
//! Time is counted in ticks of the frame clock, so that the same input gives the same pictures. When nothing is pressed everything
//! comes to rest within a second or two, and a scene at rest draws nothing.

use core::f32::consts::TAU;

use glam::Vec2;

use crate::{Camera, HOME};

/// Whose pointer: the viewer's number and the pointer's.
pub type PointerId = (u32, u32);

/// The keys that do something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Key {
    Left,
    Right,
    Up,
    Down,
    ZoomIn,
    ZoomOut,
    Reset,
    Turntable,
}

/// What a tick has changed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Moved {
    pub camera: bool,
    pub knot: bool,
}

impl Moved {
    pub fn anything(self) -> bool {
        self.camera || self.knot
    }
}

/// Contacts that count at once; further ones are ignored. Two fingers of several viewers fit.
const MAX_CONTACTS: usize = 16;

/// Radians that a drag over the picture's height turns.
const DRAG_TURN: f32 = 3.6;
/// Radians a tick while a key is held.
const KEY_TURN: f32 = 0.05;
/// What is left of a drag's speed after each tick once it is let go, and the speed (radians a tick) that is taken for rest.
const INERTIA: f32 = 0.86;
const REST_SPEED: f32 = 0.002;
/// The share of the way to its goal that the distance covers in a tick, and what is taken for arrived.
const EASE: f32 = 0.4;
const ARRIVED: f32 = 0.002;
/// Zoom, as natural logarithm of the distance: per CSS pixel of wheel, and per tick of a held key.
const WHEEL_ZOOM: f32 = 0.001_2;
const KEY_ZOOM: f32 = 0.04;
/// One event of a wheel counts at most this far, in CSS pixels: some devices send whole pages.
const MAX_WHEEL: f32 = 400.0;
/// Radians a tick of the turntable: 20 s a turn at 30 Hz.
const TURNTABLE_TURN: f32 = TAU / 600.0;

#[derive(Clone, Copy, Debug)]
struct Contact {
    id: PointerId,
    at: Vec2,
}

/// The camera with everything that moves it. Places are in units of the picture's height, so that both directions count alike.
#[derive(Clone, Debug)]
pub struct Control {
    camera: Camera,
    /// Radians by which the knot is turned.
    spin: f32,
    contacts: Vec<Contact>,
    held: Vec<(u32, Key)>,
    turntable: bool,
    /// Going back to `HOME`.
    homing: bool,
    /// Where the distance eases to.
    goal_distance: f32,
    /// Dragged since the last tick.
    drag: Vec2,
    /// Of a drag, kept up after it is let go; radians a tick.
    velocity: Vec2,
}

impl Default for Control {
    fn default() -> Self {
        Self {
            camera: HOME,
            spin: 0.0,
            contacts: Vec::new(),
            held: Vec::new(),
            turntable: false,
            homing: false,
            goal_distance: HOME.distance,
            drag: Vec2::ZERO,
            velocity: Vec2::ZERO,
        }
    }
}

impl Control {
    pub fn camera(&self) -> &Camera {
        &self.camera
    }

    /// Radians by which the knot is turned.
    pub fn spin(&self) -> f32 {
        self.spin
    }

    pub fn pointer_down(&mut self, id: PointerId, at: Vec2) {
        self.pointer_up(id);
        if self.contacts.len() < MAX_CONTACTS {
            self.contacts.push(Contact { id, at });
            self.velocity = Vec2::ZERO;
            self.homing = false;
        }
    }

    /// One contact turns the camera; of two or more, the mean movement turns it and the spread zooms.
    pub fn pointer_move(&mut self, id: PointerId, at: Vec2) {
        let spread_before = self.spread();
        let count = self.contacts.len();
        let Some(contact) = self.contacts.iter_mut().find(|contact| contact.id == id) else { return };
        #[expect(clippy::cast_precision_loss, reason = "at most MAX_CONTACTS")]
        let share = 1.0 / count as f32;
        self.drag += (at - contact.at) * share;
        contact.at = at;
        if spread_before > 0.0 {
            let spread = self.spread().max(spread_before * 0.1);
            self.zoom((spread_before / spread).ln());
        }
    }

    /// Also for a contact that is cancelled.
    pub fn pointer_up(&mut self, id: PointerId) {
        self.contacts.retain(|contact| contact.id != id);
    }

    /// In CSS pixels, positive away from the picture.
    pub fn wheel(&mut self, delta_y: f32) {
        self.zoom(delta_y.clamp(-MAX_WHEEL, MAX_WHEEL) * WHEEL_ZOOM);
    }

    pub fn key_down(&mut self, viewer: u32, key: Key, repeat: bool) {
        if repeat {
            return;
        }
        match key {
            Key::Reset => {
                self.homing = true;
                self.velocity = Vec2::ZERO;
                self.goal_distance = HOME.distance;
            }
            Key::Turntable => self.turntable = !self.turntable,
            _ => {
                self.homing = false;
                if !self.held.contains(&(viewer, key)) {
                    self.held.push((viewer, key));
                }
            }
        }
    }

    pub fn key_up(&mut self, viewer: u32, key: Key) {
        self.held.retain(|&held| held != (viewer, key));
    }

    /// Moves on by one tick of the frame clock.
    pub fn tick(&mut self) -> Moved {
        let before = self.camera;
        self.turn();
        self.ease_distance();
        if self.turntable {
            self.spin = (self.spin + TURNTABLE_TURN) % TAU;
        }
        Moved { camera: self.camera != before, knot: self.turntable }
    }

    fn turn(&mut self) {
        let dragged = core::mem::take(&mut self.drag) * DRAG_TURN;
        if self.contacts.is_empty() && dragged == Vec2::ZERO {
            self.velocity *= INERTIA;
            if self.velocity.length() < REST_SPEED {
                self.velocity = Vec2::ZERO;
            }
        } else {
            self.velocity = dragged;
        }
        let keys = Vec2::new(self.pull(Key::Right, Key::Left), self.pull(Key::Down, Key::Up)) * KEY_TURN;
        // The picture follows the pointer: dragging to the right turns the eye to the left.
        let turn = self.velocity + keys;
        self.camera.yaw = (self.camera.yaw - turn.x) % TAU;
        self.camera.pitch =
            (self.camera.pitch + turn.y).clamp(*Camera::PITCHES.start(), *Camera::PITCHES.end());
        if self.homing {
            self.go_home();
        }
    }

    fn go_home(&mut self) {
        // The shorter way around.
        let yaw = (HOME.yaw - self.camera.yaw + TAU * 1.5).rem_euclid(TAU) - TAU / 2.0;
        let pitch = HOME.pitch - self.camera.pitch;
        if yaw.abs().max(pitch.abs()) < ARRIVED {
            (self.camera.yaw, self.camera.pitch) = (HOME.yaw, HOME.pitch);
            self.homing = false;
        } else {
            self.camera.yaw += yaw * EASE;
            self.camera.pitch += pitch * EASE;
        }
    }

    fn ease_distance(&mut self) {
        let keys = self.pull(Key::ZoomOut, Key::ZoomIn) * KEY_ZOOM;
        if keys != 0.0 {
            self.zoom(keys);
        }
        let way = self.goal_distance - self.camera.distance;
        if way.abs() < ARRIVED {
            self.camera.distance = self.goal_distance;
        } else {
            self.camera.distance += way * EASE;
        }
    }

    fn zoom(&mut self, logarithm: f32) {
        self.homing = false;
        self.goal_distance = (self.goal_distance * logarithm.exp())
            .clamp(*Camera::DISTANCES.start(), *Camera::DISTANCES.end());
    }

    /// 1 while `positive` is held, -1 while `negative` is, 0 for none and for both.
    fn pull(&self, positive: Key, negative: Key) -> f32 {
        let held = |key| f32::from(u8::from(self.held.iter().any(|&(_, held)| held == key)));
        held(positive) - held(negative)
    }

    /// The distance of the first two contacts; 0 while there are fewer.
    fn spread(&self) -> f32 {
        match self.contacts.as_slice() {
            [first, second, ..] => first.at.distance(second.at),
            _ => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUSE: PointerId = (1, 1);

    /// Ticks until nothing moves; fails when that takes longer than a person would wait.
    fn rest(control: &mut Control) {
        for _ in 0..300 {
            if !control.tick().anything() {
                return;
            }
        }
        panic!("still moving after 300 ticks: {control:?}");
    }

    #[test]
    fn an_untouched_camera_stays_where_it_is() {
        let mut control = Control::default();
        for _ in 0..100 {
            assert_eq!(control.tick(), Moved::default());
        }
        assert_eq!(control.camera(), &HOME);
    }

    #[test]
    fn a_drag_turns_the_camera_at_the_next_tick() {
        let mut control = Control::default();
        control.pointer_down(MOUSE, Vec2::new(0.5, 0.5));
        control.pointer_move(MOUSE, Vec2::new(0.6, 0.5));
        assert_eq!(control.tick(), Moved { camera: true, knot: false });
        assert!((control.camera().yaw - (HOME.yaw - 0.1 * DRAG_TURN)).abs() < 1e-5);
    }

    #[test]
    fn a_pointer_that_is_not_down_turns_nothing() {
        let mut control = Control::default();
        control.pointer_move(MOUSE, Vec2::new(0.9, 0.1));
        assert!(!control.tick().anything());
    }

    #[test]
    fn a_drag_that_is_let_go_runs_on_a_little_and_comes_to_rest() {
        let mut control = Control::default();
        control.pointer_down(MOUSE, Vec2::new(0.5, 0.5));
        control.pointer_move(MOUSE, Vec2::new(0.53, 0.5));
        control.tick();
        let at_release = control.camera().yaw;
        control.pointer_up(MOUSE);
        rest(&mut control);
        assert!(control.camera().yaw < at_release);
    }

    #[test]
    fn a_drag_that_was_held_still_before_it_is_let_go_does_not_run_on() {
        let mut control = Control::default();
        control.pointer_down(MOUSE, Vec2::new(0.5, 0.5));
        control.pointer_move(MOUSE, Vec2::new(0.6, 0.5));
        control.tick();
        control.tick();
        control.pointer_up(MOUSE);
        assert!(!control.tick().anything());
    }

    #[test]
    fn a_wheel_zooms_and_comes_to_rest_within_the_limits() {
        let mut control = Control::default();
        control.wheel(-120.0);
        rest(&mut control);
        assert!(control.camera().distance < HOME.distance);
        for _ in 0..100 {
            control.wheel(1e9);
        }
        rest(&mut control);
        assert!((control.camera().distance - Camera::DISTANCES.end()).abs() < 1e-3);
    }

    #[test]
    fn two_fingers_that_part_zoom_in() {
        let mut control = Control::default();
        control.pointer_down((1, 1), Vec2::new(0.4, 0.5));
        control.pointer_down((1, 2), Vec2::new(0.6, 0.5));
        control.pointer_move((1, 1), Vec2::new(0.3, 0.5));
        control.pointer_move((1, 2), Vec2::new(0.7, 0.5));
        rest(&mut control);
        assert!(control.camera().distance < HOME.distance / 1.5);
        assert!((control.camera().yaw - HOME.yaw).abs() < 1e-4, "a pinch around a point does not turn");
    }

    #[test]
    fn a_held_key_turns_until_it_is_released() {
        let mut control = Control::default();
        control.key_down(1, Key::Left, false);
        for _ in 0..5 {
            assert!(control.tick().camera);
        }
        control.key_up(1, Key::Left);
        assert!(!control.tick().anything());
    }

    #[test]
    fn reset_goes_home_from_anywhere() {
        let mut control = Control::default();
        control.pointer_down(MOUSE, Vec2::ZERO);
        control.pointer_move(MOUSE, Vec2::new(3.0, -0.4));
        control.pointer_up(MOUSE);
        control.wheel(300.0);
        rest(&mut control);
        control.key_down(1, Key::Reset, false);
        rest(&mut control);
        assert_eq!(control.camera(), &HOME);
    }

    #[test]
    fn the_turntable_turns_the_knot_and_not_the_camera_until_it_is_switched_off() {
        let mut control = Control::default();
        control.key_down(1, Key::Turntable, false);
        control.key_down(1, Key::Turntable, true);
        assert_eq!(control.tick(), Moved { camera: false, knot: true });
        control.key_down(1, Key::Turntable, false);
        assert_eq!(control.tick(), Moved::default());
    }

    #[test]
    fn the_eye_never_sinks_below_the_ground() {
        let mut control = Control::default();
        control.wheel(1e9);
        control.wheel(1e9);
        control.pointer_down(MOUSE, Vec2::ZERO);
        control.pointer_move(MOUSE, Vec2::new(0.0, -9.0));
        rest(&mut control);
        assert!(control.camera().eye().y > 0.1);
    }
}

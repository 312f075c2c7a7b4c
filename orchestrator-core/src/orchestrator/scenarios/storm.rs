//! Repetitions stay within their budget, whatever goes wrong.

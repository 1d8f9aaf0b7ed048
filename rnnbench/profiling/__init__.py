"""Why a case takes its time, told by profiled calls (worker side); none of it enters a timing."""

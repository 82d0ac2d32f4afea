"""Numbers with their intervals: functions of arrays that know neither stages nor files."""
